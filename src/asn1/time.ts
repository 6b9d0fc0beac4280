import { DataError } from "../bytes/index.ts";
import { TAG } from "./tag.ts";

/**
 * The moment that the contents of a UTCTime (YYMMDDHHMMSSZ, years 1950 to 2049) or a GeneralizedTime (YYYYMMDDHHMMSSZ) name, in
 * the only form that certificates may have (RFC 5280 section 4.1.2.5).
 * @throws {DataError} for any other form, and for days and hours that do not exist.
 */
export function decodeTime(tag: number, contents: Uint8Array): Date {
  const digits = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/u.exec(
    contents.length <= 15 ? String.fromCharCode(...contents) : "",
  );
  const [, year = "", month = "", day = "", hour = "", minute = "", second = ""] = digits ?? [];
  if (!digits || year.length !== yearDigits(tag)) throw new DataError("time: not in the form of RFC 5280 4.1.2.5");
  const century = year.length === 4 ? "" : Number(year) >= 50 ? "19" : "20";
  const iso = `${century}${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(iso);
  // Date takes 30 February for 2 March and 24:00 for the next day: what comes back must be what went in.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new DataError("time: no such day or hour");
  return time;
}

function yearDigits(tag: number): number | undefined {
  if (tag === TAG.UTC_TIME) return 2;
  return tag === TAG.GENERALIZED_TIME ? 4 : undefined;
}
