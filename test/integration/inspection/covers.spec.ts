import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { parseProfiles } from '#libs/domain';
import { renderAll } from '../../../libs/inspection/src/child/readers/image/renditions.js';
import { readBytes, useFolder } from './readers.harness.js';

const [RED, GREEN, BLUE] = ['#ff0000', '#00ff00', '#0000ff'];

/** A picture of three vertical stripes of these widths. */
async function striped(height: number, ...widths: readonly [number, number, number]): Promise<Buffer> {
  const lefts = [0, widths[0], widths[0] + widths[1]];
  const stripe = (width: number, background: string) =>
    sharp({ create: { width, height, channels: 3, background } })
      .png()
      .toBuffer();
  const stripes = await Promise.all(widths.map((width, at) => stripe(width, [RED, GREEN, BLUE][at]!)));
  const width = widths.reduce((sum, each) => sum + each);
  return sharp({ create: { width, height, channels: 3, background: '#000' } })
    .composite(stripes.map((input, at) => ({ input, left: lefts[at]!, top: 0 })))
    .png()
    .toBuffer();
}

/** The main channel of the pixels of a row in the middle, one letter each. */
async function middleRow(bytes: Buffer): Promise<string> {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  const start = Math.floor(info.height / 2) * info.width * info.channels;
  return Array.from({ length: info.width }, (_, at) => {
    const pixel = [...data.subarray(start + at * info.channels, start + at * info.channels + 3)];
    return 'RGB'[pixel.indexOf(Math.max(...pixel))]!;
  }).join('');
}

async function coverOf(bytes: Buffer, box: string, others: readonly string[] = []) {
  const profiles = parseProfiles([...others, `cover=webp:${box}:95:cover`]);
  const { renditions = [] } = await readBytes(bytes, { profiles });
  return renditions.find(({ profile }) => profile.name === 'cover')!;
}

describe('a cover variant', () => {
  useFolder();

  it.each([
    ['a wide picture', [200, 400], [600, 600]],
    ['a picture of the same shape', [900, 900], [600, 600]],
    ['a tall picture', [1200, 300], [600, 600]],
    ['a picture for a wide box', [800, 400], [160, 90]],
    // A smaller picture is not enlarged: the cover keeps the shape of the box.
    ['a picture smaller than the box', [300, 500], [600, 600]],
    ['a picture lower than the box', [300, 5000], [600, 400]],
    ['a picture of one row', [1, 1000], [600, 400]],
    ['a picture of one pixel', [1, 1], [600, 400]],
  ])('has the shape of its box and only existing pixels: %s', async (_, [height = 0, width = 0], box) => {
    const [boxWidth = 0, boxHeight = 0] = box;
    const bytes = await sharp({ create: { width, height, channels: 3, background: RED } })
      .png()
      .toBuffer();
    const found = await coverOf(bytes, `${boxWidth}x${boxHeight}`);
    const scale = Math.min(1, width / boxWidth, height / boxHeight);
    const expected = [boxWidth, boxHeight].map((side) => Math.max(1, Math.round(side * scale)));
    expect([found.width, found.height]).toEqual(expected);
    const { format, width: encoded, height: rows } = await sharp(found.bytes).metadata();
    expect([format, encoded, rows]).toEqual(['webp', ...expected]);
  });

  it.each([
    ['derived from the largest variant', ['large=webp:1280:80']],
    ['decoded from the picture', ['small=webp:100:80']],
  ])('shows the centre of the picture: %s', async (_, others) => {
    // With the small variant alone, the picture is scaled to 100 x 20 pixels, too few for the cover.
    const found = await coverOf(await striped(200, 450, 100, 450), '100x100', others);
    expect([found.width, found.height]).toEqual([100, 100]);
    expect(await middleRow(found.bytes)).toMatch(/^R{23,27}G{46,54}B{23,27}$/);
  });

  it('is upright', async () => {
    // Turned clockwise by a quarter, the left stripe is at the top.
    const bytes = await sharp(await striped(300, 100, 100, 100))
      .jpeg({ quality: 100 })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const found = await coverOf(bytes, '200x20');
    expect([found.width, found.height, await middleRow(found.bytes)]).toEqual([200, 20, 'G'.repeat(200)]);
  });

  it('is the same whichever other variants are made with it', async () => {
    const bytes = await striped(400, 300, 500, 400);
    const profiles = parseProfiles(['cover=webp:300x300:80:cover', 'large=webp:640:80']);
    const both = await renderAll(sharp(bytes), { profiles, longestSide: 640 });
    for (const [at, profile] of profiles.entries()) {
      const alone = await renderAll(sharp(bytes), { profiles: [profile], longestSide: 640 });
      expect(alone.renditions[0]!.bytes).toEqual(both.renditions[at]!.bytes);
      expect(alone.thumbhash).toBe(both.thumbhash);
    }
  });
});

it('fits a picture into a box that is not square', async () => {
  const bytes = await striped(600, 200, 400, 600);
  const [profile] = parseProfiles(['a=webp:400x100:80']);
  const { renditions } = await renderAll(sharp(bytes), { profiles: [profile!] });
  expect(renditions).toMatchObject([{ width: 200, height: 100 }]);
});
