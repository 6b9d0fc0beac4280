import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { explainStatus, StatusError, statusName, SW } from "../../src/apdu/index.ts";

describe("status words", () => {
  test.each([
    [0x9000, "success", "success"],
    [0x6105, "5 more bytes to collect with GET RESPONSE", "success"],
    [0x6101, "1 more byte to collect with GET RESPONSE", "success"],
    [0x6100, "256 bytes or more to collect with GET RESPONSE", "success"],
    [0x6203, "the card asks for a query of 3 bytes to be fetched", "warning"],
    [0x6282, "end of file or record before the length asked for", "warning"],
    [0x62f1, "warning", "warning"],
    [0x6300, "verification failed", "warning"],
    [0x63c0, "not verified, 0 tries left", "warning"],
    [0x63c1, "not verified, 1 try left", "warning"],
    [0x63cf, "not verified, 15 tries left", "warning"],
    [0x6402, "the card asks for a query of 2 bytes to be fetched", "execution error"],
    [0x64ff, "execution error", "execution error"],
    [0x6581, "memory failure", "execution error"],
    [0x6642, "security-related issue", "execution error"],
    [0x6982, "security status not satisfied", "checking error"],
    [0x69f0, "checking error", "checking error"],
    [0x6a88, "referenced data or key not found", "checking error"],
    [0x6c00, "wrong length expected, 256 is right", "checking error"],
    [0x6c10, "wrong length expected, 16 is right", "checking error"],
    [0x9484, "algorithm not supported", "proprietary"],
    [0x9101, "a status that the application defines", "proprietary"],
    [0x1234, "no status word", "invalid"],
    [0x6000, "no status word", "invalid"],
  ])("%# %d is %j", (sw, name, kind) => {
    expect(statusName(sw)).toBe(name);
    expect(explainStatus(sw)).toMatchObject({ code: sw.toString(16).toUpperCase().padStart(4, "0"), name, kind });
  });

  test("say what to do where that helps", () => {
    expect(explainStatus(0x6982).advice).toMatch(/verify the PIN/u);
    expect(explainStatus(0x6983).advice).toMatch(/PUK/u);
    expect(explainStatus(0x6c10).advice).toMatch(/Le = 10/u);
    expect(explainStatus(0x9000)).not.toHaveProperty("advice");
  });

  test("have a name each, the named ones one of their own", () => {
    fc.assert(fc.property(fc.nat(0xffff), (sw) => statusName(sw).length > 0));
    const general = new Set(["warning", "execution error", "checking error", "no status word"]);
    expect(Object.values(SW).filter((sw) => general.has(statusName(sw)))).toEqual([]);
  });

  test("of an error tell the tries left", () => {
    expect(new StatusError("VERIFY", 0x63c2).triesLeft).toBe(2);
    expect(new StatusError("VERIFY", 0x6983).triesLeft).toBe(0);
    expect(new StatusError("VERIFY", 0x6982).triesLeft).toBeUndefined();
    expect(new StatusError("VERIFY", 0x6982).message).toBe("security status not satisfied (6982) from VERIFY");
  });
});
