import { describe, expect, test } from "@jest/globals";
import { fromUtf8, utf8 } from "../../src/bytes/index.ts";
import { withPin } from "../../src/cryptoki/sessions/logins.ts";

describe("the driver's copy of a PIN", () => {
  test.each<[string, string | Uint8Array]>([
    ["text", "pässwörd"],
    ["bytes", utf8("pässwörd")],
  ])("is wiped after the work, %s", async (_, pin) => {
    let kept: Uint8Array | undefined;
    const length = await withPin(pin, (copy) => {
      kept = copy;
      expect(fromUtf8(copy)).toBe("pässwörd");
      return Promise.resolve(copy.length);
    });
    expect(kept).toEqual(new Uint8Array(length));
    // What a shared pool or a longer buffer held around it would still be the PIN.
    expect(Buffer.from(kept?.buffer ?? new ArrayBuffer(0)).every((byte) => byte === 0)).toBe(true);
    if (pin instanceof Uint8Array) expect(fromUtf8(pin)).toBe("pässwörd");
  });

  test("is wiped after work that failed", async () => {
    let kept: Uint8Array | undefined;
    const done = withPin("123456", (copy) => {
      kept = copy;
      return Promise.reject(new Error("the card is gone"));
    });
    await expect(done).rejects.toThrow("the card is gone");
    expect(kept).toEqual(new Uint8Array(6));
  });
});
