for (const film of document.querySelectorAll(".film")) {
  const times = film.dataset.times.split(" ").map(Number);
  const [picture, slider, clock, button] = ["img", "input", "output", "button"].map((name) => film.querySelector(name));
  let timer = 0;
  const show = (frame) => {
    slider.value = frame;
    picture.style.transform = `translateY(${(-100 * frame) / times.length}%)`;
    clock.textContent = `${times[frame].toFixed(1)} s`;
    slider.setAttribute("aria-valuetext", clock.textContent);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const step = () => {
    if (+slider.value >= times.length - 1) stop();
    else show(+slider.value + 1);
  };
  slider.addEventListener("input", () => {
    stop();
    show(+slider.value);
  });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (+slider.value >= times.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(step, 200);
  });
  show(0);
}
