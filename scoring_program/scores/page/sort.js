// Sorts the table of the cases by a column when its heading is pressed, again the other way round.
(() => {
  "use strict";

  const number = (cell) => {
    const text = cell.firstChild?.textContent ?? "";
    const value = parseFloat(text);
    return Number.isNaN(value) ? text : value;
  };
  const before = (one, other) =>
    typeof one === typeof other ? (one < other ? -1 : one > other ? 1 : 0) : typeof one === "string" ? 1 : -1;

  for (const table of document.querySelectorAll("table.cases")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.textContent = heading.textContent;
      button.type = "button";
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((one, other) => (down ? -1 : 1) * before(number(one.cells[column]), number(other.cells[column])));
        table.tBodies[0].append(...rows);
      });
    });
  }
})();
