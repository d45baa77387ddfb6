import { textOf } from './texts.js';

const SPEED_WINDOW_MS = 3_000;
const template = document.querySelector('#row');

const MEASURED = new Set(['HASHING', 'SENDING']);
/** Phases that are too short to be announced by a screen reader. */
const BRIEF = new Set(['QUEUED', 'HASHING', 'REQUESTING']);
const PAUSABLE = new Set(['QUEUED', 'HASHING', 'REQUESTING', 'SENDING', 'RETRYING']);
const STARTABLE = { PAUSED: 'Resume', BROKEN: 'Try again' };

/**
 * A row of the list that shows an upload.
 * @param announce announces a change to users of screen readers
 * @param freshLink returns a new download URL, because a URL is valid for minutes only
 */
export function rowOf(upload, { announce, freshLink }) {
  const row = template.content.firstElementChild.cloneNode(true);
  const part = (name) => row.querySelector(name);
  const buttons = ['pause', 'start', 'cancel'].map((name) => part(`.${name}`));
  const [pause, start, cancel] = buttons;
  const progress = part('progress');
  const download = part('.download');
  const speed = speedometer();
  let shown;

  part('.name').textContent = upload.name;
  part('.size').textContent = bytes(upload.size);
  progress.setAttribute('aria-label', `Progress of ${upload.name}`);
  pause.addEventListener('click', () => upload.pause());
  start.addEventListener('click', () => upload.start());
  cancel.addEventListener('click', () => void upload.cancel());
  download.addEventListener('click', async (event) => {
    if (Date.parse(upload.asset.download.expiresAt) > Date.now()) return;
    event.preventDefault();
    upload.asset.download = await freshLink(upload.asset.id);
    location.assign(upload.asset.download.url);
  });

  function show() {
    const { phase, done, size } = upload;
    const rate = speed(phase, done);
    const percent = size === 0 ? 100 : Math.floor((done / size) * 100);
    const measure = MEASURED.has(phase) ? `, ${percent} %${rate > 0 ? `, ${bytes(rate)}/s` : ''}` : '';
    part('.state').textContent = `${textOf(upload)}${measure}`;
    progress.value = size === 0 ? 1 : done / size;
    if (phase === shown) return;

    shown = phase;
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    row.dataset.phase = phase;
    progress.hidden = upload.isOver || phase === 'CHECKING' || phase === 'NEEDS_FILE';
    pause.hidden = !PAUSABLE.has(phase);
    start.hidden = !(phase in STARTABLE);
    cancel.hidden = upload.isOver || phase === 'CHECKING' || phase === 'CANCELLING';
    start.textContent = STARTABLE[phase] ?? '';
    for (const button of buttons) button.setAttribute('aria-label', `${button.textContent} ${upload.name}`);
    if (phase === 'READY') showContent(upload.asset);
    if (!BRIEF.has(phase)) announce(`${upload.name}: ${textOf(upload)}`);
    // Keeps the focus in the row when the button that was pressed disappears.
    if (focused?.hidden) [...buttons, download].find(({ hidden }) => !hidden)?.focus();
  }

  function showContent({ download: link, variants }) {
    if (link === null) return;
    download.href = link.url;
    download.hidden = false;
    download.setAttribute('aria-label', `Download ${upload.name}`);
    // The narrowest variant comes first.
    const thumbnail = variants[0]?.downloadUrl;
    if (!thumbnail) return;
    const image = new Image();
    image.alt = `Preview of ${upload.name}`;
    image.src = thumbnail.url;
    part('.preview').append(image);
  }

  upload.addEventListener('change', show);
  show();
  return row;
}

/** Measures bytes per second over the last seconds of a phase. */
function speedometer() {
  let phaseBefore;
  let seen = [];
  return (phase, done) => {
    const now = performance.now();
    if (phase !== phaseBefore) seen = [];
    phaseBefore = phase;
    seen = [...seen.filter(({ at }) => now - at < SPEED_WINDOW_MS), { at: now, done }];
    const [first] = seen;
    return now > first.at ? (Math.max(0, done - first.done) / (now - first.at)) * 1000 : 0;
  };
}

function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.max(0, Math.floor(Math.log2(count || 1) / 10)), units.length - 1);
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
