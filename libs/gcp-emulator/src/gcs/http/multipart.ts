import { ApiError } from './errors.js';

const HEADER_LIMIT = 16 * 1024;
const METADATA_LIMIT = 1024 * 1024;

/** The two parts of a `multipart/related` upload. `media` can be read only once, and must be read to its end. */
export interface RelatedUpload {
  metadata: string;
  mediaType: string | undefined;
  media: AsyncIterable<Buffer>;
}

/** Reads a byte stream up to a marker. It buffers only as many bytes as may be part of the marker. */
class MarkedReader {
  private pending: Buffer = Buffer.alloc(0);

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  private async more(): Promise<void> {
    const next = await this.chunks.next();
    if (next.done) throw new ApiError('incompleteBody');
    this.pending = this.pending.length === 0 ? next.value : Buffer.concat([this.pending, next.value]);
  }

  /** Reads the text before the marker, and skips the marker. */
  async take(marker: string, limit: number): Promise<string> {
    for (;;) {
      const at = this.pending.indexOf(marker);
      if (at > limit || (at < 0 && this.pending.length > limit + marker.length)) {
        throw new ApiError('bodyTooLarge');
      }
      if (at >= 0) {
        const text = this.pending.toString('utf8', 0, at);
        this.pending = this.pending.subarray(at + Buffer.byteLength(marker));
        return text;
      }
      await this.more();
    }
  }

  /** Streams the bytes before the marker. The bytes after it are read and dropped, to make the connection reusable. */
  async *stream(marker: string): AsyncGenerator<Buffer, void, undefined> {
    const keep = Buffer.byteLength(marker) - 1;
    for (;;) {
      const at = this.pending.indexOf(marker);
      const end = at >= 0 ? at : this.pending.length - keep;
      if (end > 0) {
        yield this.pending.subarray(0, end);
        this.pending = this.pending.subarray(end);
      }
      if (at >= 0) break;
      await this.more();
    }
    while (!(await this.chunks.next()).done);
  }
}

function boundaryOf(contentType: string): string {
  const match = /^multipart\/(?:related|form-data)\s*;.*\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(
    contentType,
  );
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined || boundary.length > 256) {
    throw new ApiError('invalid', { message: 'Multipart body must have a Content-Type with a boundary.' });
  }
  return boundary;
}

/** Splits a multipart upload while it arrives: metadata as text (at most 1 MiB), media as a stream of any length. */
export async function readRelated(contentType: string, body: AsyncIterable<Buffer>): Promise<RelatedUpload> {
  const boundary = boundaryOf(contentType);
  const reader = new MarkedReader(body[Symbol.asyncIterator]());
  await reader.take(`--${boundary}`, HEADER_LIMIT);
  await reader.take('\r\n\r\n', HEADER_LIMIT);
  const metadata = await reader.take(`\r\n--${boundary}`, METADATA_LIMIT);
  const headers = await reader.take('\r\n\r\n', HEADER_LIMIT);
  const mediaType = /^content-type:[ \t]*(.*?)[ \t]*$/im.exec(headers)?.[1];
  return { metadata, mediaType, media: reader.stream(`\r\n--${boundary}`) };
}
