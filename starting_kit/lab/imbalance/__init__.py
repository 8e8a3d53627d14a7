"""What uneven load of experts costs a layer, in closed form and measured."""
