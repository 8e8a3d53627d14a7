// Sorts a table of the cases by a column when its heading is pressed, again the other way round.
(() => {
  "use strict";

  const number = (cell) => {
    const text = (cell.firstChild?.textContent ?? "").trim();
    return /^[-+]?[0-9.]+( %)?$/.test(text) ? parseFloat(text) : text;
  };
  const words = new Intl.Collator("en", { numeric: true });
  const before = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return typeof one === typeof other ? words.compare(one, other) : typeof one === "string" ? 1 : -1;
  };

  for (const table of document.querySelectorAll("table.cases, table.parts, table.changes")) {
    // On a narrow screen, where cells carry their headings, only such a table has the row of headings.
    table.classList.add("sortable");
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
        // The sum of all cases stays last.
        const last = table.matches(".parts, .changes") ? [rows.pop()] : [];
        rows.sort((one, other) => (down ? -1 : 1) * before(number(one.cells[column]), number(other.cells[column])));
        table.tBodies[0].append(...rows, ...last);
      });
    });
  }
})();
