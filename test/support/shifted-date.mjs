/** Preloaded into a process. Sets its clock ahead by DATE_SHIFT_MS milliseconds. */
const shiftMs = Number(process.env.DATE_SHIFT_MS);
const RealDate = Date;

globalThis.Date = class Date extends RealDate {
  static now() {
    return RealDate.now() + shiftMs;
  }

  constructor(...values) {
    if (values.length === 0) super(Date.now());
    else super(...values);
  }
};
