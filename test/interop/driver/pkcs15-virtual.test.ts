import { createPublicKey, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { toHex, utf8 } from "../../../src/bytes/index.ts";
import { CKA, CKF_SESSION, CKF_TOKEN, CKM, CKO, CKU, Cryptoki, type Template } from "../../../src/cryptoki/index.ts";
import { Pcscd, profiles } from "../../../src/index.ts";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const TOKENS = [
  { index: 0, label: "Virtual eID (PIN)", pin: "123456", puk: "12345678" },
  { index: 1, label: "Virtual eID (Signature PIN)", pin: "654321", puk: "87654321" },
] as const;
const CLASSES: ReadonlyMap<number, string> = new Map([
  [CKO.PRIVATE_KEY, "Private Key Object"],
  [CKO.PUBLIC_KEY, "Public Key Object"],
  [CKO.CERTIFICATE, "Certificate Object"],
  [CKO.DATA, "Data object"],
]);
const USES = [
  [CKA.DECRYPT, "decrypt"],
  [CKA.ENCRYPT, "encrypt"],
  [CKA.SIGN, "sign"],
  [CKA.VERIFY, "verify"],
  [CKA.DERIVE, "derive"],
] as const;
/** What a private key is, besides. */
const TRAITS = [
  [CKA.ALWAYS_AUTHENTICATE, "always authenticate"],
  [CKA.SENSITIVE, "sensitive"],
  [CKA.ALWAYS_SENSITIVE, "always sensitive"],
  [CKA.NEVER_EXTRACTABLE, "never extractable"],
] as const;

interface Listed {
  readonly type: string;
  readonly label: string;
  readonly id: string;
  readonly uses: readonly string[];
  readonly traits: readonly string[];
}

/** One order for both lists. */
const sorted = (objects: readonly Listed[]): readonly Listed[] =>
  [...objects].sort((a, b) => `${a.type}${a.id}${a.label}`.localeCompare(`${b.type}${b.id}${b.label}`));

/** The keys of the authorities' certificates are objects to OpenSC alone; data objects about the token are ours. */
const comparable = ({ type, id, label }: Listed): boolean =>
  !(type === "Public Key Object" && id.startsWith("1")) && (type !== "Data object" || label.endsWith("note"));

/** What `pkcs11-tool --list-objects` prints: an object's kind in a line of its own, its fields indented below. */
function parseList(text: string): Listed[] {
  const blocks = text
    .split(/^(?=\S)/mu)
    .filter((block) => /^(Private Key Object|Public Key Object|Certificate Object|Data object)/u.test(block));
  return blocks.map((block) => {
    const field = (name: string): string => new RegExp(`^ +${name}: +'?(.*?)'?$`, "mu").exec(block)?.[1]?.trim() ?? "";
    const usage = field("Usage").split(", ");
    const access = field("Access").split(", ");
    const type = /^\S+( Key)? [Oo]bject/u.exec(block)?.[0] ?? "";
    return {
      type,
      label: field("label"),
      id: field("ID").split(" ")[0] ?? "",
      uses: USES.map(([, name]) => name).filter((name) => usage.includes(name)),
      traits: type.startsWith("Private") ? TRAITS.map(([, name]) => name).filter((name) => access.includes(name)) : [],
    };
  });
}

describe("the virtual PKCS #15 card in a reader of pcscd", () => {
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let slots: readonly number[];

  beforeAll(async () => {
    requirePrograms("pkcs11-tool", "pkcs15-tool");
    // One key was made for the card, the others were brought to it: their attributes tell.
    plugged = await plugIn(await testPkcs15Card({ keys: { "signature-ec": undefined } }), "Virtual PCD");
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles });
    await cryptoki.C_Initialize();
    slots = await cryptoki.C_GetSlotList(true);
  });
  afterAll(async () => {
    await cryptoki.C_Finalize();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
  });

  const slotOf = (index: number): number => slots[index] ?? -1;

  async function withSession<T>(
    index: number,
    pin: string | undefined,
    work: (session: number) => Promise<T>,
  ): Promise<T> {
    const session = await cryptoki.C_OpenSession(slotOf(index), CKF_SESSION.SERIAL_SESSION | CKF_SESSION.RW_SESSION);
    try {
      if (pin !== undefined) await cryptoki.C_Login(session, CKU.USER, pin);
      return await work(session);
    } finally {
      await cryptoki.C_CloseSession(session);
    }
  }

  async function find(session: number, template: Template): Promise<number[]> {
    await cryptoki.C_FindObjectsInit(session, template);
    const found = await cryptoki.C_FindObjects(session, 100);
    await cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  async function holds(session: number, handle: number, attribute: number): Promise<boolean> {
    const values = await cryptoki.C_GetAttributeValue(session, handle, [attribute]).catch(() => ({}));
    return Object.values(values).includes(true);
  }

  /** Names of the attributes that are true. */
  async function those(
    session: number,
    handle: number,
    attributes: readonly (readonly [number, string])[],
  ): Promise<string[]> {
    const names: string[] = [];
    for (const [attribute, name] of attributes) if (await holds(session, handle, attribute)) names.push(name);
    return names;
  }

  async function listed(session: number): Promise<Listed[]> {
    const found: Listed[] = [];
    for (const [objectClass, type] of CLASSES) {
      for (const handle of await find(session, { [CKA.CLASS]: objectClass })) {
        const { [CKA.LABEL]: label } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.LABEL]);
        const id =
          objectClass === CKO.DATA
            ? ""
            : toHex((await cryptoki.C_GetAttributeValue(session, handle, [CKA.ID]))[CKA.ID]);
        const uses = await those(session, handle, USES);
        const traits = objectClass === CKO.PRIVATE_KEY ? await those(session, handle, TRAITS) : [];
        found.push({ type, label, id, uses, traits });
      }
    }
    return found;
  }

  async function theirs(index: number, pin: string): Promise<Listed[]> {
    const login = ["--slot-index", String(index), "--login", "--pin", pin];
    return parseList(await plugged.succeed("pkcs11-tool", ...login, "--list-objects"));
  }

  async function flags(index: number): Promise<number> {
    return (await cryptoki.C_GetTokenInfo(slotOf(index))).flags;
  }

  async function sign(session: number, id: number): Promise<Uint8Array> {
    const [key = 0] = await find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(id) });
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    return cryptoki.C_Sign(session, utf8("message"));
  }

  test("is two tokens, named as OpenSC names them", async () => {
    const infos = await Promise.all(slots.map((slot) => cryptoki.C_GetTokenInfo(slot)));
    expect(infos.map(({ label }) => label)).toEqual(TOKENS.map(({ label }) => label));
    const list = await plugged.succeed("pkcs11-tool", "--list-slots");
    const field = (name: string): string[] =>
      [...list.matchAll(new RegExp(`^  ${name} +: (.*)$`, "gmu"))].map(([, value]) => value ?? "");
    expect(infos.map(({ manufacturerID }) => manufacturerID)).toEqual(field("token manufacturer"));
    expect(infos.map(({ serialNumber }) => serialNumber.toLowerCase())).toEqual(field("serial num"));
    expect(infos.map(({ ulMinPinLen, ulMaxPinLen }) => `${ulMinPinLen}/${ulMaxPinLen}`)).toEqual(field("pin min/max"));
    // OpenSC leaves the PIN's name out where it is called just that.
    expect(field("token label")).toEqual(["Virtual eID", "Virtual eID (Signature PIN)"]);
  });

  test.each(TOKENS)("$label lists what OpenSC lists", async ({ index, pin }) => {
    const ours = (await withSession(index, pin, listed)).filter(comparable);
    // OpenSC shows what belongs to no key with every PIN, the driver with the first.
    const isOnce = ({ id }: Listed): boolean => index === 0 || !id.startsWith("1");
    expect(sorted(ours)).toEqual(sorted((await theirs(index, pin)).filter(comparable).filter(isOnce)));
  });

  test("reads every certificate as OpenSC reads it", async () => {
    for (const { index } of TOKENS) {
      await withSession(index, undefined, async (session) => {
        for (const handle of await find(session, { [CKA.CLASS]: CKO.CERTIFICATE })) {
          const { [CKA.VALUE]: value, [CKA.LABEL]: label } = await cryptoki.C_GetAttributeValue(session, handle, [
            CKA.VALUE,
            CKA.LABEL,
          ]);
          // OpenSC finds certificates by identifier, and two have the same.
          if (label.endsWith("at work")) continue;
          const { [CKA.ID]: id } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.ID]);
          const pem = await plugged.succeed("pkcs15-tool", "--read-certificate", toHex(id));
          expect(toHex(value)).toBe(toHex(Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/gu, ""), "base64")));
        }
      });
    }
  });

  test("each PIN opens its token and no other", async () => {
    const keys = [testKey("rsa-2048", "authentication"), testKey("rsa-3072", "signature")] as const;
    for (const [index, id] of [
      [0, 1],
      [1, 3],
    ] as const) {
      await withSession(index, TOKENS[index].pin, async (session) => {
        expect(verify("sha256", utf8("message"), createPublicKey(keys[index]), await sign(session, id))).toBe(true);
        await withSession(1 - index, undefined, async (other) => {
          expect(await find(other, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toEqual([]);
          const notes = (await listed(other)).filter(({ type }) => type === "Data object").map(({ label }) => label);
          expect(notes.filter((label) => /^(Private|Signature) note/u.test(label))).toEqual([]);
        });
      });
    }
  });

  test("the other token's key is not to be had by this token's PIN", async () => {
    await withSession(1, TOKENS[1].pin, async (session) => {
      const [key = 0] = await find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(3) });
      // Another program resets the card: both logins are gone, and one comes back.
      await plugged.succeed("opensc-tool", "--reset");
      await withSession(0, TOKENS[0].pin, async (first) => {
        await sign(first, 1);
        await expect(
          (async () => {
            await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
            await cryptoki.C_Sign(session, utf8("message"));
          })(),
        ).rejects.toMatchObject({ code: "CKR_USER_NOT_LOGGED_IN" });
      });
    });
  });

  test("a blocked PIN leaves the other usable; its PUK brings it back, and a wrong one costs a try", async () => {
    const [authentication, signature] = TOKENS;
    await withSession(1, undefined, async (session) => {
      for (let tries = 0; tries < 3; tries++) {
        await expect(cryptoki.C_Login(session, CKU.USER, "999999")).rejects.toThrow(/CKR_PIN_(INCORRECT|LOCKED)/u);
      }
      await expect(cryptoki.C_Login(session, CKU.USER, signature.pin)).rejects.toMatchObject({
        code: "CKR_PIN_LOCKED",
      });
    });
    expect((await flags(1)) & CKF_TOKEN.USER_PIN_LOCKED).not.toBe(0);
    expect((await flags(0)) & CKF_TOKEN.USER_PIN_LOCKED).toBe(0);
    await withSession(0, authentication.pin, (session) => sign(session, 1));
    await withSession(1, undefined, async (session) => {
      await expect(cryptoki.C_UnlockPIN(session, "99999999", signature.pin)).rejects.toMatchObject({
        code: "CKR_PIN_INCORRECT",
        cause: { triesLeft: 2 },
      });
      await cryptoki.C_UnlockPIN(session, signature.puk, signature.pin);
    });
    expect((await flags(1)) & CKF_TOKEN.USER_PIN_LOCKED).toBe(0);
    await withSession(1, signature.pin, (session) => sign(session, 3));
  });

  test("another label is OpenSC's too, and the card is whole", async () => {
    const change = (value: string): Promise<void> =>
      withSession(0, TOKENS[0].pin, async (session) => {
        const [object = 0] = await find(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "TokenLabel" });
        await cryptoki.C_SetAttributeValue(session, object, { [CKA.VALUE]: utf8(value) });
      });
    await change("A card with a longer name");
    expect((await cryptoki.C_GetTokenInfo(slotOf(0))).label).toBe("A card with a longer name (PIN)");
    expect(await plugged.succeed("pkcs11-tool", "--list-slots")).toMatch(/token label +: A card with a longer name$/mu);
    expect(await plugged.succeed("pkcs15-tool", "--dump")).toMatch(/PKCS#15 Card \[A card with a longer name\]/u);
    await change("Virtual eID");
    expect(await plugged.succeed("pkcs11-tool", "--list-slots")).toMatch(/token label +: Virtual eID$/mu);
    await withSession(1, TOKENS[1].pin, (session) => sign(session, 3));
  });
});
