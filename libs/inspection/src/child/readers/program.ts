export { readBehind as read } from './archive.js';
