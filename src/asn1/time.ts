import { DataError } from "../bytes/index.ts";
import { TAG } from "./tag.ts";

const MINUTE = 60_000;
/** Behind the year: month, day, hour, minute; second and its fraction; Z, or the offset from UTC. */
const REST = String.raw`(?<month>\d\d)(?<day>\d\d)(?<hour>\d\d)(?<minute>\d\d)`;
const ZONE = String.raw`(?:Z|(?<offset>[+-]\d{4}))`;
const FORMS: ReadonlyMap<number, RegExp> = new Map([
  [TAG.UTC_TIME, new RegExp(String.raw`^(?<year>\d{2})${REST}(?<second>\d\d)?${ZONE}$`, "u")],
  [TAG.GENERALIZED_TIME, new RegExp(String.raw`^(?<year>\d{4})${REST}(?:(?<second>\d\d)(?:\.\d+)?)?${ZONE}$`, "u")],
]);
/** More than any certificate's time: digits, fractions and an offset. */
const MAX_LENGTH = 64;

/**
 * The moment that the contents of a UTCTime (YYMMDDHHMMSSZ, years 1950 to 2049) or a GeneralizedTime (YYYYMMDDHHMMSSZ) name.
 * RFC 5280 section 4.1.2.5 has no other form; what older issuers write besides is read as OpenSSL reads it: seconds left out, the
 * fractions of a GeneralizedTime, which are dropped, and an offset of up to 12:59 in place of Z.
 * @throws {DataError} for any other form, and for days and hours that do not exist.
 */
export function decodeTime(tag: number, contents: Uint8Array): Date {
  const form = FORMS.get(tag)?.exec(contents.length <= MAX_LENGTH ? String.fromCharCode(...contents) : "")?.groups;
  if (!form) throw new DataError("time: neither a UTCTime nor a GeneralizedTime of a certificate");
  const { year = "", month = "", day = "", hour = "", minute = "", second = "00", offset = "" } = form;
  const century = year.length === 4 ? "" : Number(year) >= 50 ? "19" : "20";
  const iso = `${century}${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(iso);
  // Date takes 30 February for 2 March and 24:00 for the next day: what comes back must be what went in.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new DataError("time: no such day or hour");
  // Local time is ahead of UTC by a positive offset.
  const moment = new Date(time.getTime() - readOffset(offset));
  if (!/^\d{4}-/u.test(moment.toISOString())) throw new DataError("time: no year from 0000 to 9999");
  return moment;
}

/** "+0130" in milliseconds; 0 for none. */
function readOffset(offset: string): number {
  const [hours, minutes] = [Number(offset.slice(1, 3)), Number(offset.slice(3))];
  if (hours > 12 || minutes > 59) throw new DataError("time: no such offset from UTC");
  const size = (hours * 60 + minutes) * MINUTE;
  return offset.startsWith("-") ? -size : size;
}
