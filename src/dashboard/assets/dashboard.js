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
