import { describe, expect, it } from '@jest/globals';
import { contentDisposition } from './content-disposition.js';

describe('contentDisposition', () => {
  it.each([
    ['photo.jpg', 'attachment;filename="photo.jpg"'],
    ['a b; c=d.txt', `attachment;filename="a_b;_c=d.txt";filename*=UTF-8''a%20b%3B%20c%3Dd.txt`],
    ['C++ notes.txt', `attachment;filename="C___notes.txt";filename*=UTF-8''C%2B%2B%20notes.txt`],
    ['no\u00a0break.txt', `attachment;filename="no_break.txt";filename*=UTF-8''no%C2%A0break.txt`],
    ['résumé.pdf', `attachment;filename="resume.pdf";filename*=UTF-8''r%C3%A9sum%C3%A9.pdf`],
    ['写真.jpg', `attachment;filename="__.jpg";filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg`],
    ['😀.png', `attachment;filename="_.png";filename*=UTF-8''%F0%9F%98%80.png`],
    ['a"b.txt', `attachment;filename="a_b.txt";filename*=UTF-8''a%22b.txt`],
    ['a\\"; x="y.txt', `attachment;filename="a__;_x=_y.txt";filename*=UTF-8''a%5C%22%3B%20x%3D%22y.txt`],
    ['100%41.txt', `attachment;filename="100_41.txt";filename*=UTF-8''100%2541.txt`],
    ["it's (1)*.txt", `attachment;filename="it's_(1)*.txt";filename*=UTF-8''it%27s%20%281%29%2A.txt`],
    ["it's(1)*.txt", `attachment;filename="it's(1)*.txt"`],
    ["ö'(1)*.txt", `attachment;filename="o'(1)*.txt";filename*=UTF-8''%C3%B6%27%281%29%2A.txt`],
    [
      'a\r\nset-cookie: x=y',
      `attachment;filename="a__set-cookie:_x=y";filename*=UTF-8''a__set-cookie%3A%20x%3Dy`,
    ],
    ['../../etc/passwd', `attachment;filename=".._.._etc_passwd";filename*=UTF-8''..%2F..%2Fetc%2Fpasswd`],
    ['＂／.txt', `attachment;filename="__.txt";filename*=UTF-8''%EF%BC%82%EF%BC%8F.txt`],
    ['annual\u202Efdp.exe', `attachment;filename="annual_fdp.exe"`],
    ['\uD800.txt', `attachment;filename="_.txt";filename*=UTF-8''%EF%BF%BD.txt`],
    ['\0', 'attachment;filename="_"'],
    ['', 'attachment'],
  ])('encodes %j', (filename, value) => expect(contentDisposition('attachment', filename)).toBe(value));

  it('builds an inline disposition', () =>
    expect(contentDisposition('inline', 'a.png')).toBe('inline;filename="a.png"'));

  it('returns printable ASCII with one quoted part and no spaces or plus signs for every BMP character', () => {
    for (let code = 0; code <= 0xffff; code++) {
      const value = contentDisposition('attachment', `x${String.fromCharCode(code)}y`);
      if (
        !/^attachment;filename="[^"\\%]*"(;filename\*=UTF-8''[\w!#$&\-.^`|~%]+)?$/.test(value) ||
        /[^\x21-\x7e]|\+/.test(value)
      ) {
        throw new Error(`U+${code.toString(16)} gives ${value}`);
      }
    }
  });
});
