"use strict";
// Makes each row of pictures a viewer: two of them in one place, a slider between them, and zoom.
for (const viewer of document.querySelectorAll(".viewer")) makeLive(viewer);

function makeLive(viewer) {
  const find = (name) => viewer.querySelector(name);
  const [frame, stage, sheet, handle] = [".frame", ".stage", ".sheet", ".handle"].map(find);
  const figures = [...viewer.querySelectorAll("figure")];
  const [width, height, metres] = ["width", "height", "metres"].map((name) => Number(viewer.dataset[name] || 0));
  const choices = { left: find("select.left"), right: find("select.right") };
  let split = 0.5, zoom = 1, fitted = true, drag = null;

  function show() {
    for (const side of ["left", "right"]) {
      figures.forEach((figure, number) => figure.classList.toggle(side, number === choices[side].selectedIndex));
      find(`.tag.of-${side}`).textContent = choices[side].value;
    }
    place();
  }

  function place() {
    const x = frame.getBoundingClientRect().left + split * frame.clientWidth - sheet.getBoundingClientRect().left;
    const same = choices.left.selectedIndex === choices.right.selectedIndex;
    for (const figure of figures) {
      const cut = figure.classList.contains("left") && !same;
      figure.style.clipPath = cut ? `inset(0 ${Math.max(width * zoom - x, 0)}px 0 0)` : "";
    }
    handle.style.left = `${100 * split}%`;
    handle.setAttribute("aria-valuenow", Math.round(100 * split));
    handle.setAttribute("aria-valuetext",
      `${Math.round(100 * split)} % ${choices.left.value}, the rest ${choices.right.value}`);
  }

  function moveTo(share) {
    split = Math.min(Math.max(share, 0), 1);
    place();
  }

  // Keeps the middle of what is seen where it is.
  function zoomTo(wanted) {
    const middle = [
      (stage.scrollLeft + stage.clientWidth / 2) / (width * zoom),
      (stage.scrollTop + stage.clientHeight / 2) / (height * zoom),
    ];
    zoom = Math.min(Math.max(wanted, 1 / 64), 32);
    sheet.style.width = `${width * zoom}px`;
    sheet.style.height = `${height * zoom}px`;
    stage.scrollLeft = middle[0] * width * zoom - stage.clientWidth / 2;
    stage.scrollTop = middle[1] * height * zoom - stage.clientHeight / 2;
    viewer.classList.toggle("large", zoom >= 1.5);
    find("output").textContent = `${Math.round(100 * zoom)} %`;
    drawScale();
    place();
  }

  function fit() {
    const most = Math.max(280, 0.8 * window.innerHeight);
    zoomTo(Math.min(viewer.clientWidth / width, most / height, 16));
    fitted = true;
  }

  function step(factor) {
    fitted = false;
    const power = Math.log2(zoom);
    zoomTo(2 ** (factor > 1 ? Math.floor(power + 1.001) : Math.ceil(power - 1.001)));
  }

  // A length of 1, 2 or 5 times a power of ten that is about a fifth of what is seen.
  function drawScale() {
    const bar = find(".frame > .scale");
    if (!bar) return;
    const aim = (metres * Math.min(stage.clientWidth, width * zoom)) / zoom / 5;
    const power = 10 ** Math.floor(Math.log10(aim));
    const length = power * [5, 2, 1].find((one) => one * power <= aim * 1.0001);
    const [unit, name] = [[1e-3, "mm"], [1e-6, "\u00b5m"], [1e-9, "nm"]].find((one) => length >= 0.999 * one[0]) ||
      [1e-9, "nm"];
    bar.style.width = `${(length / metres) * zoom}px`;
    bar.textContent = `${Number((length / unit).toPrecision(3))} ${name}`;
  }

  const shareAt = (event) => (event.clientX - frame.getBoundingClientRect().left) / frame.clientWidth;
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    drag = { split: true };
  });
  handle.addEventListener("pointermove", (event) => { if (drag && drag.split) moveTo(shareAt(event)); });
  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    const pans = stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight;
    drag = pans ? { x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop } : { split: true };
    if (!pans) moveTo(shareAt(event));
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.split) return moveTo(shareAt(event));
    stage.scrollLeft = drag.x - event.clientX;
    stage.scrollTop = drag.y - event.clientY;
  });
  for (const part of [handle, stage]) {
    for (const name of ["pointerup", "pointercancel"]) part.addEventListener(name, () => { drag = null; });
  }
  stage.addEventListener("scroll", place);
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    step(event.deltaY < 0 ? 2 : 0.5);
  }, { passive: false });
  handle.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 0.1 : 0.01;
    const moves = {
      ArrowLeft: split - by, ArrowDown: split - by, ArrowRight: split + by, ArrowUp: split + by,
      PageDown: split - 0.1, PageUp: split + 0.1, Home: 0, End: 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    moveTo(moves[event.key]);
  });
  frame.addEventListener("keydown", (event) => {
    const zooms = { "+": () => step(2), "=": () => step(2), "-": () => step(0.5), 0: fit };
    if (event.key in zooms && !event.ctrlKey && !event.metaKey) zooms[event.key]();
  });
  for (const select of Object.values(choices)) select.addEventListener("change", show);
  const range = find("select.range");
  if (range) range.addEventListener("change", () => { sheet.style.filter = range.value && `url(#${range.value})`; });
  find(".larger").addEventListener("click", () => step(2));
  find(".smaller").addEventListener("click", () => step(0.5));
  find(".whole").addEventListener("click", fit);
  find(".pixels").addEventListener("click", () => { fitted = false; zoomTo(1); });
  viewer.classList.add("live");
  new ResizeObserver(() => (fitted ? fit() : place())).observe(viewer);
  fit();
  show();
}
