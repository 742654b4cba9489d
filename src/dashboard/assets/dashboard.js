// What htmx leaves to us: pages work without any of this.
"use strict";

// A live list that stands still while somebody reads in it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.target.closest("[data-live]");
  if (live && (document.hidden || live.contains(document.activeElement))) event.preventDefault();
});

// A session that has ended: a fragment cannot say so, the page can.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) window.location.reload();
});

// Filters apply when a choice is made, without the button.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-apply]");
  if (form && event.target.matches("select")) form.requestSubmit();
});

// The editor of the tab Test: as many line numbers as lines, marked as the server says.
function number(editor) {
  const [gutter, text] = [editor.querySelector(".gutter"), editor.querySelector("textarea")];
  const lines = text.value.split("\n").length;
  while (gutter.children.length > lines) gutter.lastElementChild.remove();
  while (gutter.children.length < lines) {
    const line = document.createElement("span");
    line.textContent = gutter.children.length + 1;
    gutter.append(line);
  }
  text.rows = lines;
}

document.addEventListener("input", (event) => {
  const editor = event.target.closest("[data-editor]");
  if (editor) number(editor);
});

document.addEventListener("htmx:afterSettle", (event) => {
  const marks = document.getElementById("marks");
  const editor = document.querySelector("[data-editor]");
  if (event.target.id !== "marks" || !editor) return;
  number(editor);
  for (const line of editor.querySelectorAll(".gutter span")) line.className = "";
  for (const entry of marks.dataset.lines.split(" ").filter(Boolean)) {
    const [line, kind] = entry.split(":");
    editor.querySelector(".gutter").children[line - 1]?.classList.add(kind);
  }
});

// From a mark to its line.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-line]");
  const text = document.querySelector("[data-editor] textarea");
  if (!link || !text) return;
  event.preventDefault();
  const lines = text.value.split("\n");
  const start = lines.slice(0, link.dataset.line - 1).join("\n").length + (link.dataset.line > 1 ? 1 : 0);
  text.focus({ preventScroll: true });
  text.setSelectionRange(start, start + (lines[link.dataset.line - 1] ?? "").length);
  document.querySelector(".gutter").children[link.dataset.line - 1]?.scrollIntoView({ block: "center" });
});

// A text for the clipboard; the button is there only where this works.
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
document.addEventListener("DOMContentLoaded", offerCopies);
document.addEventListener("htmx:load", offerCopies);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trimEnd());
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});
