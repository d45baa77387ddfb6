import { apiOf } from './api.js';
import { keptRecords } from './records.js';
import { rowOf } from './row.js';
import { Upload } from './upload.js';

const list = document.querySelector('#uploads');
const news = document.querySelector('#news');
const choose = document.querySelector('#choose');
const drop = document.querySelector('#drop');

/** URL of the API and token of the user. Your own page knows the URL and gets the token from its sign-in. */
const settings = async () => (await fetch('settings.json', { signal: AbortSignal.timeout(10_000) })).json();
let current = await settings();

const api = apiOf({
  url: current.api,
  token: async ({ fresh }) => {
    if (fresh) current = await settings();
    return current.token;
  },
});
const uploads = [];

function show(upload) {
  uploads.push(upload);
  const announce = (text) => (news.textContent = text);
  const freshLink = async (id) => (await api.asset(id, AbortSignal.timeout(30_000))).download;
  list.prepend(rowOf(upload, { announce, freshLink }));
  return upload;
}

function add(files) {
  for (const file of files) {
    // A file that is chosen again resumes its upload, which may still be running.
    const known = uploads.find((upload) => upload.isOf(file) && !upload.isOver);
    (known ?? show(new Upload(api, file))).start(file);
  }
}

choose.addEventListener('change', () => {
  add(choose.files);
  choose.value = '';
});

const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  drop.classList.add('over');
});
addEventListener('dragleave', ({ relatedTarget }) => {
  if (relatedTarget === null) drop.classList.remove('over');
});
addEventListener('drop', (event) => {
  drop.classList.remove('over');
  if (!holdsFiles(event)) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});

for (const record of keptRecords()) show(new Upload(api, record)).start();
