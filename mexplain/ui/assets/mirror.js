// The camera of the mirror: shows the visitor to themselves, and sends small grey pictures while it is on.
const LONGER_PX = 384, EVERY_MS = 300, MOST_MS = 180000;
const film = element.querySelector("video"), button = element.querySelector("button");
const problem = element.querySelector(".camera-problem"), canvas = document.createElement("canvas");
let stream = null, timer = 0, limit = 0, first = true;

const stop = () => {
  clearInterval(timer);
  clearTimeout(limit);
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = film.srcObject = null;
  button.textContent = button.dataset.start;
  element.dataset.camera = "off";
};

const send = () => {
  // Whoever opens another tab has left the mirror.
  if (document.hidden || !film.checkVisibility()) return stop();
  const share = LONGER_PX / Math.max(film.videoWidth, film.videoHeight);
  if (!Number.isFinite(share)) return;
  const width = canvas.width = Math.round(film.videoWidth * share);
  const height = canvas.height = Math.round(film.videoHeight * share);
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  drawing.drawImage(film, 0, 0, width, height);
  const colours = drawing.getImageData(0, 0, width, height).data;
  let grey = "";
  for (let i = 0; i < colours.length; i += 4)
    grey += String.fromCharCode(0.299 * colours[i] + 0.587 * colours[i + 1] + 0.114 * colours[i + 2]);
  trigger("input", { width, height, pixels: btoa(grey), first });
  first = false;
};

button.addEventListener("click", async () => {
  if (stream) return stop();
  problem.hidden = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, facingMode: "user" } });
  } catch {
    problem.hidden = false;
    return;
  }
  film.srcObject = stream;
  await film.play();
  button.textContent = button.dataset.stop;
  element.dataset.camera = "on";
  first = true;
  timer = setInterval(send, EVERY_MS);
  limit = setTimeout(stop, MOST_MS);
});
