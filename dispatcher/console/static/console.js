// What a page of the console cannot do without a script: renew a part by itself, copy a link, count while one types.
"use strict";

// <div data-live="/console/live/overview">: its content is replaced whenever the server sends it anew. With
// data-state="sending" the page is asked for anew when an element of the content has another data-state.
for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  source.addEventListener("message", (event) => {
    if (!part.contains(document.activeElement)) {
      part.innerHTML = event.data; // rendered by our server, every value escaped
    }
    const told = part.querySelector("[data-state]");
    const isTyping = document.activeElement?.matches("input, textarea, select");
    if (part.dataset.state && told && told.dataset.state !== part.dataset.state && !isTyping) {
      location.reload(); // it has gone on to another state: what can be done with it is another, too
    }
  });
  source.addEventListener("over", () => {
    source.close();
    location.reload(); // the session has ended: the server leads to the log-in
  });
  addEventListener("pagehide", () => source.close());
}

// <button data-copies="ID" hidden>: shown only where there is a script to do it.
for (const button of document.querySelectorAll("[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", () => {
    field.select();
    navigator.clipboard?.writeText(field.value);
  });
}

// <span data-counts="ID" data-most="60" hidden>: how long a field's text is, of so many characters that are shown.
for (const count of document.querySelectorAll("[data-counts]")) {
  const field = document.getElementById(count.dataset.counts);
  const tell = () => {
    const length = [...field.value].length;
    count.textContent = `${length} / ${count.dataset.most}`;
    count.classList.toggle("over", length > Number(count.dataset.most));
  };
  count.hidden = false;
  field.addEventListener("input", tell);
  tell();
}

// A form in which something was typed does not go by mistake.
for (const form of document.querySelectorAll("form.sheet")) {
  let isTouched = false;
  form.addEventListener("input", () => { isTouched = true; });
  form.addEventListener("submit", () => { isTouched = false; });
  addEventListener("beforeunload", (event) => {
    if (isTouched) event.preventDefault();
  });
}

// <div data-asks="/console/campaigns/7/audience/count">: what is typed into its form is counted while one types.
for (const part of document.querySelectorAll("[data-asks]")) {
  const form = part.closest("form");
  let waits, asked;
  const ask = async () => {
    const fields = new URLSearchParams(new FormData(form));
    fields.delete("form_token");
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(`${part.dataset.asks}?${fields}`, { signal: asked.signal });
      if (answer.ok && !answer.redirected) part.innerHTML = await answer.text(); // rendered by our server, every value escaped
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(waits);
    waits = setTimeout(ask, 300);
  });
}
