import { spawn } from 'node:child_process';
import { instantOf } from '../instants.js';
import { parseIso6709 } from '../iso6709.js';
import { creationTime, type VideoInfo } from './mp4.js';

const MAX_SECONDS = 20;
const MAX_OUTPUT_BYTES = 2 ** 20;

/** Excludes playlists and file lists, so that no other file is opened. */
const FORMATS = 'mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf';
const ENTRIES =
  'format=duration:format_tags:stream=codec_type,width,height:stream_tags=rotate:stream_side_data=rotation:stream_disposition=attached_pic';

interface Stream {
  readonly codec_type?: unknown;
  readonly width?: unknown;
  readonly height?: unknown;
  readonly tags?: { readonly rotate?: unknown };
  readonly side_data_list?: readonly { readonly rotation?: unknown }[];
  readonly disposition?: { readonly attached_pic?: unknown };
}

interface Report {
  readonly streams?: readonly Stream[];
  readonly format?: { readonly duration?: unknown; readonly tags?: Readonly<Record<string, unknown>> };
}

/** Runs ffprobe and returns its output; null when it fails, exceeds the output limit or takes too long. */
function run(program: string, path: string): Promise<string | null> {
  const options = ['-v', 'quiet', '-protocol_whitelist', 'file', '-format_whitelist', FORMATS];
  const output = ['-of', 'json', '-show_entries', ENTRIES];
  const child = spawn(program, [...options, ...output, '-i', `file:${path}`], {
    env: {},
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: MAX_SECONDS * 1000,
    killSignal: 'SIGKILL',
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
  });
  return new Promise((resolve) => {
    child.once('error', () => resolve(null));
    child.once('close', (code) => resolve(code === 0 ? Buffer.concat(chunks).toString() : null));
  });
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

function displayedSize(streams: readonly Stream[]): Pick<VideoInfo, 'width' | 'height'> {
  const picture = streams.find(
    ({ codec_type, disposition }) => codec_type === 'video' && disposition?.attached_pic !== 1,
  );
  const { width, height } = picture ?? {};
  if (typeof width !== 'number' || typeof height !== 'number') return {};
  const turns = picture?.side_data_list?.map(({ rotation }) => rotation) ?? [];
  const degrees = Number(turns.find((turn) => typeof turn === 'number') ?? picture?.tags?.rotate ?? 0);
  return Math.abs(degrees) % 180 === 90 ? { width: height, height: width } : { width, height };
}

function reportIn(printed: string | null): Report | null {
  try {
    return printed === null ? null : (JSON.parse(printed) as Report);
  } catch {
    return null;
  }
}

/** Reads a video with ffprobe; null when the program gives no valid answer. https://ffmpeg.org/ffprobe.html */
export async function probe(program: string, path: string): Promise<VideoInfo | null> {
  const report = reportIn(await run(program, path));
  if (report === null) return null;
  const { streams = [], format = {} } = report;
  const tags = new Map(
    Object.entries(format.tags ?? {}).map(([name, value]) => [name.toLowerCase(), text(value)]),
  );
  const quicktime = (name: string) => tags.get(`com.apple.quicktime.${name}`);
  const created = Date.parse(tags.get('creation_time') ?? '');
  return {
    ...displayedSize(streams),
    durationSeconds: Number(text(format.duration) ?? NaN),
    sources: {
      header: { created: Number.isNaN(created) ? null : creationTime(new Date(created)) },
      keys: {
        taken: instantOf(quicktime('creationdate')),
        place: parseIso6709(quicktime('location.iso6709')),
        cameraMake: quicktime('make'),
        cameraModel: quicktime('model'),
      },
      udta: {
        created: instantOf(tags.get('date')),
        place: parseIso6709(tags.get('location')),
        title: tags.get('title'),
        artist: tags.get('artist'),
        album: tags.get('album'),
      },
    },
  };
}
