import { createPublicKey, privateDecrypt, publicEncrypt, constants, verify } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { LoginRequiredError, PinError, UnsupportedError } from "../../src/card/index.ts";
import { digest, digestInfo, encodePkcs1Signature } from "../../src/crypto/index.ts";
import { PIN } from "./applet-card.ts";
import {
  AID,
  another,
  CARD_ID,
  certificate,
  HOLDER,
  insert,
  type Inserted,
  key,
  listedApplets,
  privateKey,
  valueOf,
} from "./cards.ts";

const MESSAGE = utf8("what the card signs");
const BLOCK = encodePkcs1Signature(digestInfo("sha256", digest("sha256", MESSAGE)), 256);
const headers = ({ card }: Inserted): readonly string[] => card.commands.map((command) => command.slice(0, 8));

describe("a CAC with a capability container", () => {
  let rig: Inserted;
  beforeEach(async () => {
    rig = await insert(listedApplets());
  });
  const signs = async (number: number, id: string): Promise<boolean> => {
    const signature = await rig.token.use(privateKey(rig, id), "rsa-raw", BLOCK);
    return verify("sha256", MESSAGE, createPublicKey(key(number)), signature);
  };

  test("is called by its holder and the end of its number", async () => {
    expect(await rig.token.info()).toMatchObject({
      label: HOLDER,
      manufacturer: "Common Access Card",
      serialNumber: CARD_ID.slice(-16),
      pin: { minLength: 4, maxLength: 8 },
    });
  });

  test("shows what its CardURLs lead to, and of the rest nothing", () => {
    const shown = rig.objects.map(({ class: kind, label, id }) => [kind, label, toHex(id)].join(" ").trimEnd());
    expect(shown).toEqual([
      "certificate CAC ID Certificate 0001",
      "public-key CAC ID Certificate 0001",
      "private-key CAC ID Certificate 0001",
      "certificate CAC Email Signature Certificate 0002",
      "public-key CAC Email Signature Certificate 0002",
      "private-key CAC Email Signature Certificate 0002",
      "certificate CAC Email Encryption Certificate 0003",
      "public-key CAC Email Encryption Certificate 0003",
      "private-key CAC Email Encryption Certificate 0003",
      "data Person Instance",
      "data Personnel",
    ]);
  });

  test("gives its certificates, however they are stored", async () => {
    const labels = ["CAC ID Certificate", "CAC Email Signature Certificate", "CAC Email Encryption Certificate"];
    for (const [index, label] of labels.entries()) {
      expect(await valueOf(rig, label, "certificate")).toBe(toHex(certificate(index + 1)));
    }
  });

  test("computes with keys of the sizes that are there", async () => {
    expect(await rig.token.supportedMechanisms?.()).toEqual([{ primitive: "rsa-raw", minBits: 2048, maxBits: 2048 }]);
  });

  test("is asked nothing twice, and nothing unnecessary", async () => {
    await rig.token.info();
    const asked = rig.card.commands.length;
    // CCC; its tags, its values; PKI applet and object; two parts of the certificate up to the subject's end.
    expect(headers(rig)).toEqual(["00a40400", "80520000", "80520000", "00a40400", "00a40200", "80520000"]);
    await rig.token.info();
    await rig.token.objects();
    expect(rig.card.commands).toHaveLength(asked);
    await valueOf(rig, "CAC ID Certificate", "certificate");
    const all = rig.card.commands.length;
    for (const object of rig.objects)
      if (object.label === "CAC ID Certificate")
        expect(await object.isPresent({ explicitlyRequested: false })).toBe(true);
    await privateKey(rig, "0001").publicKey();
    expect(rig.card.commands).toHaveLength(all);
  });

  test("signs after a login, with two exchanges for each further signature", async () => {
    await rig.token.login("user", PIN);
    expect(await signs(2, "0002")).toBe(true);
    const before = rig.card.commands.length;
    expect(await signs(2, "0002")).toBe(true);
    expect(headers(rig).slice(before)).toEqual(["80428000", "80420000"]);
  });

  test("decrypts with any key", async () => {
    await rig.token.login("user", PIN);
    const ciphertext = publicEncrypt({ key: createPublicKey(key(3)), oaepHash: "sha256" }, MESSAGE);
    const block = await rig.token.use(privateKey(rig, "0003"), "rsa-raw", ciphertext);
    const expected = privateDecrypt({ key: key(3), padding: constants.RSA_NO_PADDING }, ciphertext);
    expect(toHex(block)).toBe(toHex(expected));
  });

  /** Every last part of a result is `answer` from now on. */
  const answerWith = (answer: (given: Uint8Array) => Uint8Array): void => {
    const transmit = rig.card.transmit.bind(rig.card);
    rig.card.transmit = async (command): Promise<Uint8Array> => {
      const given = await transmit(command);
      return toHex(command).startsWith("80420000") ? answer(given) : given;
    };
  };

  test.each<[string, (given: Uint8Array) => Uint8Array, string]>([
    ["a flipped bit", (given) => given.map((octet, at) => (at === 0 ? octet ^ 1 : octet)), "does not verify"],
    ["a byte too few", (given) => given.subarray(1), "does not verify"],
    ["nothing", () => fromHex("9000"), "an RSA result of 0 bytes"],
    ["64 bytes", () => fromHex(`${"01".repeat(64)}9000`), "an RSA result of 64 bytes"],
    ["a byte too many", (given) => fromHex(`00${toHex(given)}`), "an RSA result of 257 bytes"],
    ["6A80", () => fromHex("6a80"), "6A80"],
  ])("does not give a result with %s", async (_, answer, reason) => {
    await rig.token.login("user", PIN);
    answerWith(answer);
    await expect(rig.token.use(privateKey(rig, "0001"), "rsa-raw", BLOCK)).rejects.toThrow(reason);
  });

  test.each([0x6a81, 0x6a86, 0x6d00])("does not do what it answers by %p", async (sw) => {
    await rig.token.login("user", PIN);
    answerWith(() => Uint8Array.of(sw >> 8, sw & 0xff));
    await expect(rig.token.use(privateKey(rig, "0001"), "rsa-raw", BLOCK)).rejects.toMatchObject({
      name: "UnsupportedError",
      cause: { sw },
    });
  });

  test("does nothing with a key before a login, nor after a logout or a reset by another program", async () => {
    const use = (): Promise<unknown> => rig.token.use(privateKey(rig, "0001"), "rsa-raw", BLOCK);
    await expect(use()).rejects.toThrow(LoginRequiredError);
    await rig.token.login("user", PIN);
    await use();
    await rig.token.logout();
    await expect(use()).rejects.toThrow(LoginRequiredError);
    await rig.token.login("user", PIN);
    await use();
    await using other = await another(rig);
    await other.reconnect(1);
    await expect(use()).rejects.toThrow(LoginRequiredError);
    expect(headers(rig).filter((header) => header.startsWith("8042"))).toHaveLength(4);
  });

  describe("whose key is refused though the PIN was given", () => {
    let refusals: number;
    let word: string;
    let emptyVerify: string | undefined;
    beforeEach(async () => {
      const { card } = rig;
      const transmit = card.transmit.bind(card);
      [refusals, word, emptyVerify] = [1, "6982", undefined];
      card.transmit = (command) => {
        if (command[1] === 0x42 && refusals > 0) {
          refusals--;
          return Promise.resolve(fromHex(word));
        }
        const isEmptyVerify = command[1] === 0x20 && command.length <= 5;
        return isEmptyVerify && emptyVerify !== undefined ? Promise.resolve(fromHex(emptyVerify)) : transmit(command);
      };
      await rig.token.login("user", PIN);
    });

    test.each(["6982", "6985"])("with %s keeps the login while the card says that the PIN is verified", async (sw) => {
      word = sw;
      // Each use is tried twice: the applet may have lost its selection.
      refusals = 6;
      for (let times = 0; times < 3; times++) {
        await expect(signs(1, "0001")).rejects.toMatchObject({
          name: "UseRefusedError",
          message: expect.stringContaining("and the PIN was given") as unknown,
        });
      }
      expect(await signs(1, "0001")).toBe(true);
    });

    test.each(["6d00", "63c3"])("ends it where the card does not say so (%s)", async (answer) => {
      emptyVerify = answer;
      refusals = 2;
      await expect(signs(1, "0001")).rejects.toMatchObject({ name: "LoginRequiredError" });
      expect(await rig.token.hasForgottenPin?.()).toBe(true);
    });
  });

  test("signs with the right key, whatever another program selected meanwhile", async () => {
    await rig.token.login("user", PIN);
    expect(await signs(1, "0001")).toBe(true);
    await using other = await another(rig);
    await other.transmit(fromHex(`00a4040007${AID.PKI[1]}`));
    expect(await signs(1, "0001")).toBe(true);
  });

  test("sends a PIN to no other application", async () => {
    await rig.token.info();
    await using other = await another(rig);
    await other.transmit(fromHex("00a4040003d27600"));
    await rig.token.login("user", PIN);
    const [select, sent] = headers(rig).slice(-2);
    expect([select, sent]).toEqual(["00a40400", "00200000"]);
  });

  test.each(["123", "123456789", "12345a", "", "1234 6"])("does not send %p as a PIN", async (pin) => {
    await expect(rig.token.login("user", utf8(pin))).rejects.toThrow(PinError);
    expect(headers(rig)).not.toContain("00200000");
  });

  test("counts wrong PINs down, and asks for the count without spending a try", async () => {
    const wrong = (): Promise<void> => rig.token.login("user", utf8("0000"));
    expect(await rig.token.pinStatus("user")).toMatchObject({ triesLeft: 3, maxTries: undefined, verified: false });
    await expect(wrong()).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    expect(await rig.token.pinStatus("user")).toMatchObject({ triesLeft: 2, countLow: true, verified: false });
    await rig.token.login("user", PIN);
    expect(await rig.token.pinStatus("user")).toMatchObject({ verified: true });
    for (let tries = 0; tries < 2; tries++) await expect(wrong()).rejects.toMatchObject({ reason: "incorrect" });
    await expect(wrong()).rejects.toMatchObject({ reason: "blocked", triesLeft: 0 });
    await expect(rig.token.login("user", PIN)).rejects.toMatchObject({ reason: "blocked" });
  });

  test("changes its PIN if the card can", async () => {
    const change = (from: string, to: string): Promise<void> | undefined =>
      rig.token.changePin?.("user", utf8(from), utf8(to));
    await rig.token.login("user", PIN);
    await expect(change("12345678", "654321")).rejects.toThrow(UnsupportedError);
    expect(await signs(1, "0001")).toBe(true);
    rig = await insert(listedApplets(), { changeP1: 0x00 });
    await expect(change("12345678", "1234")).rejects.toMatchObject({ reason: "unacceptable" });
    await expect(change("123", "654321")).rejects.toMatchObject({ reason: "length" });
    await expect(change("87654321", "654321")).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    await change("12345678", "654321");
    await rig.token.login("user", utf8("654321"));
    await expect(rig.token.changePin?.("puk", PIN, PIN)).rejects.toThrow(UnsupportedError);
  });

  test("may have changed its PIN where the answer is lost", async () => {
    rig = await insert(listedApplets(), { changeP1: 0x00 });
    const { card } = rig;
    const transmit = card.transmit.bind(card);
    card.transmit = async (command) => {
      const answer = await transmit(command);
      return command[1] === 0x24 ? answer.subarray(0, 1) : answer;
    };
    await expect(rig.token.changePin?.("user", utf8("12345678"), utf8("654321"))).rejects.toMatchObject({
      name: "PinUncertainError",
      message: expect.stringMatching(/may have changed/u) as unknown,
    });
    await rig.token.login("user", utf8("654321"));
  });

  test("knows no security officer, and no primitive but the plain one", async () => {
    await expect(rig.token.login("so", PIN)).rejects.toThrow(UnsupportedError);
    expect(await rig.token.pinStatus("so")).toMatchObject({ triesLeft: undefined });
    await rig.token.login("user", PIN);
    await expect(rig.token.use(privateKey(rig, "0001"), "rsa-pkcs1", BLOCK)).rejects.toThrow(UnsupportedError);
    await expect(rig.token.use(privateKey(rig, "0001"), "rsa-raw", BLOCK.subarray(1))).rejects.toThrow("255 bytes");
  });
});
