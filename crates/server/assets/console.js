// What is nicer live. Every page works without this script.
"use strict";

// On small screens, the sections scroll sideways.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// A form with data-preview sends itself there while somebody types, and shows the answer in the element with that id.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const shown = document.getElementById(form.dataset.shown);
  let timer, latest = 0;
  const update = async () => {
    const number = ++latest;
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body, headers: { "X-Part": "1" } });
      const text = await answer.text();
      if (number === latest && answer.ok && !answer.redirected) shown.innerHTML = text;
    } catch { /* The button shows the preview as well. */ }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(update, 300); });
}

// An element with data-refresh shows what is there now, as long as the answer wants to be asked again.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const refresh = async () => {
    try {
      const answer = await fetch(part.dataset.refresh, { headers: { "X-Part": "1" } });
      if (!answer.ok || answer.redirected) return;
      const text = await answer.text();
      if (!part.contains(document.activeElement) || document.activeElement === document.body) part.innerHTML = text;
      if (answer.headers.get("X-Again") === "1") setTimeout(refresh, 2000);
      else if (part.dataset.reload) location.reload();
    } catch { setTimeout(refresh, 10000); }
  };
  setTimeout(refresh, 2000);
}

// A form with a file shows how much of it has been sent.
for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    const bar = form.querySelector("progress"), said = form.querySelector("[data-said]");
    const request = new XMLHttpRequest();
    event.preventDefault();
    form.querySelector("button").disabled = true;
    bar.hidden = false;
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
      said.textContent = loaded < total ? `${Math.floor(100 * loaded / total)} % sent` : "Sent; the list is being read";
    });
    request.addEventListener("load", () => {
      if (request.responseURL !== new URL(form.action, location).href) location.assign(request.responseURL);
      else { document.open(); document.write(request.responseText); document.close(); }
    });
    request.addEventListener("error", () => {
      said.textContent = "The connection broke; nothing was changed. Send the list again.";
      form.querySelector("button").disabled = false;
    });
    request.open("POST", form.action);
    request.send(new FormData(form));
  });
}

// Fields that belong to a choice are shown when it is made.
for (const chooser of document.querySelectorAll("[data-chooses]")) {
  const show = () => {
    for (const part of document.querySelectorAll(`[data-for^="${chooser.dataset.chooses}="]`)) {
      const values = part.dataset.for.split("=")[1].split(" ");
      part.hidden = !values.includes(chooser.value);
    }
  };
  chooser.addEventListener("change", show);
  show();
}

// A button that copies a text.
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
    button.textContent = "Copied";
  });
}

// A button that asks before it sends.
for (const form of document.querySelectorAll("form[data-asks]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.asks)) event.preventDefault(); });
}
