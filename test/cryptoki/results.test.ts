import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardProfile } from "../../src/card/index.ts";
import { CKA, CKD, CKF, CKM, CKO, CKU, Cryptoki, type CryptokiOptions, mechanismOf } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { testCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import { PIN, READER, refusal } from "./rig.ts";

// Results that a card computed, and that are not as the standards have them.

const RSA = testKey("rsa-2048", "9a");

/** A message whose PKCS #1 signature begins with a zero: one in 256 does. */
function messageWithShortSignature(key: KeyObject): Uint8Array {
  for (let count = 0; ; count++) {
    const message = utf8(`message ${count}`);
    if (sign("sha256", message, key)[0] === 0) return message;
  }
}

/** A program with the card, logged in. */
class Program implements AsyncDisposable {
  readonly cryptoki: Cryptoki;
  readonly session: number;

  private constructor(cryptoki: Cryptoki, session: number) {
    this.cryptoki = cryptoki;
    this.session = session;
  }

  static async at(
    card: InProcessCard,
    profile: CardProfile,
    options: Pick<CryptokiOptions, "verifyResults"> = {},
  ): Promise<Program> {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, card);
    const cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [profile], ...options });
    await cryptoki.C_Initialize();
    const [slot = -1] = await cryptoki.C_GetSlotList(true);
    const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    return new Program(cryptoki, session);
  }

  async key(id: number, objectClass: number = CKO.PRIVATE_KEY): Promise<number> {
    await this.cryptoki.C_FindObjectsInit(this.session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) });
    const [found = 0] = await this.cryptoki.C_FindObjects(this.session);
    await this.cryptoki.C_FindObjectsFinal(this.session);
    return found;
  }

  async sign(id: number, mechanism: number, message: Uint8Array): Promise<Uint8Array> {
    await this.cryptoki.C_SignInit(this.session, mechanismOf(mechanism), await this.key(id));
    return this.cryptoki.C_Sign(this.session, message);
  }

  /** The secret that the key agrees on with `point`. */
  async derive(id: number, point: Uint8Array): Promise<Uint8Array> {
    const mechanism = { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: point } };
    const template = { [CKA.SENSITIVE]: false, [CKA.EXTRACTABLE]: true };
    const secret = await this.cryptoki.C_DeriveKey(this.session, mechanism, await this.key(id), template);
    const { [CKA.VALUE]: value } = await this.cryptoki.C_GetAttributeValue(this.session, secret, [CKA.VALUE]);
    return value;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cryptoki.C_Finalize();
  }
}

/** `card`, whose successful answers to one instruction are replaced. */
function answering(card: InProcessCard, ins: number, answer: (given: Uint8Array) => Uint8Array): InProcessCard {
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const given = await card.transmit(command);
      return command[1] === ins && given.at(-2) !== 0x69 ? answer(given) : given;
    },
  };
}

const GENERAL_AUTHENTICATE = 0x87;
/** An answer of GENERAL AUTHENTICATE with this result. */
const authentication = (result: Uint8Array): Uint8Array =>
  fromHex(`${toHex(encodeTlv(0x7c, encodeTlv(0x82, result)))}9000`);

describe("an RSA signature of a PIV card", () => {
  test("without its leading zero is the ordinary one", async () => {
    const message = messageWithShortSignature(RSA);
    await using program = await Program.at(await testCard({ deviations: ["short-rsa-answers"], extended: true }), piv);
    expect(toHex(await program.sign(1, CKM.SHA256_RSA_PKCS, message))).toBe(toHex(sign("sha256", message, RSA)));
    expect(await program.sign(1, CKM.SHA256_RSA_PKCS, utf8("any other"))).toHaveLength(256);
  });

  test.each(["cut-rsa-answers", "faulty-rsa-answers"] as const)(
    "%s is CKR_DEVICE_ERROR, and the login stays",
    async (deviation) => {
      await using program = await Program.at(await testCard({ deviations: [deviation] }), piv);
      for (const mechanism of [CKM.SHA256_RSA_PKCS, CKM.SHA384_RSA_PKCS, CKM.RSA_X_509]) {
        await expect(program.sign(1, mechanism, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
      }
      // Where the login was lost, there is no key to be found.
      expect(await program.key(1)).not.toBe(0);
    },
  );

  test.each([0, 1, 64, 255, 257])("of %p bytes is CKR_DEVICE_ERROR", async (length) => {
    const card = answering(await testCard({ extended: true }), GENERAL_AUTHENTICATE, () =>
      authentication(new Uint8Array(length).fill(1)),
    );
    await using program = await Program.at(card, piv);
    await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });

  test("that is an older one is not given", async () => {
    let first: Uint8Array | undefined;
    const card = answering(await testCard({ extended: true }), GENERAL_AUTHENTICATE, (given) => (first ??= given));
    await using program = await Program.at(card, piv);
    expect(await program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message 1"))).toHaveLength(256);
    await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message 2"))).rejects.toMatchObject({
      ...refusal("DEVICE_ERROR"),
      message: expect.stringContaining("does not verify") as unknown,
    });
    expect(await program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message 1"))).toHaveLength(256);
  });
});

describe("a decryption by a PIV card", () => {
  test.each(["cut-rsa-answers", "faulty-rsa-answers"] as const)("%s is CKR_DEVICE_ERROR", async (deviation) => {
    await using program = await Program.at(await testCard({ deviations: [deviation] }), piv);
    await program.cryptoki.C_EncryptInit(
      program.session,
      { mechanism: CKM.RSA_PKCS },
      await program.key(3, CKO.PUBLIC_KEY),
    );
    const ciphertext = await program.cryptoki.C_Encrypt(program.session, utf8("secret"));
    await program.cryptoki.C_DecryptInit(program.session, { mechanism: CKM.RSA_PKCS }, await program.key(3));
    await expect(program.cryptoki.C_Decrypt(program.session, ciphertext)).rejects.toMatchObject(
      refusal("DEVICE_ERROR"),
    );
  });

  test("of what is no ciphertext of the key never reaches the card; wrong data (6A80) of a right one is the card's failure", async () => {
    let asked = 0;
    const card = answering(await testCard({ extended: true }), GENERAL_AUTHENTICATE, () => {
      asked++;
      return fromHex("6a80");
    });
    await using program = await Program.at(card, piv);
    const decrypt = async (ciphertext: Uint8Array): Promise<Uint8Array> => {
      await program.cryptoki.C_DecryptInit(program.session, { mechanism: CKM.RSA_X_509 }, await program.key(3));
      return program.cryptoki.C_Decrypt(program.session, ciphertext);
    };
    await expect(decrypt(new Uint8Array(256).fill(0xff))).rejects.toMatchObject(refusal("ENCRYPTED_DATA_INVALID"));
    expect(asked).toBe(0);
    await expect(decrypt(new Uint8Array(256).fill(1))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });
});

test.each([
  [0x6a80, "DEVICE_ERROR"],
  [0x6700, "DEVICE_ERROR"],
  [0x6a81, "FUNCTION_NOT_SUPPORTED"],
  [0x6a86, "FUNCTION_NOT_SUPPORTED"],
  [0x6d00, "FUNCTION_NOT_SUPPORTED"],
])("GENERAL AUTHENTICATE answered by %p is CKR_%s", async (sw, name) => {
  const card = answering(await testCard(), GENERAL_AUTHENTICATE, () => Uint8Array.of(sw >> 8, sw & 0xff));
  await using program = await Program.at(card, piv);
  await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).rejects.toMatchObject(refusal(name));
});

describe("an ECDSA signature of a PIV card", () => {
  test.each(["long-ecdsa-integers", "unsigned-ecdsa-integers"] as const)("with %s is r || s", async (deviation) => {
    const key = testKey("p-256", "9e");
    await using program = await Program.at(await testCard({ deviations: [deviation] }), piv);
    // Half of the numbers have a sign byte.
    for (let round = 0; round < 8; round++) {
      const message = utf8(`message ${round}`);
      const signature = await program.sign(4, CKM.ECDSA_SHA256, message);
      expect(signature).toHaveLength(64);
      expect(verify("sha256", message, { key: createPublicKey(key), dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    }
  });

  test("that does not parse is CKR_DEVICE_ERROR", async () => {
    const card = answering(await testCard(), GENERAL_AUTHENTICATE, () => authentication(fromHex("30030201ff")));
    await using program = await Program.at(card, piv);
    await expect(program.sign(4, CKM.ECDSA_SHA256, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });
});

/** The other side of an agreement with `key` whose secret begins with a zero, where that is wanted. */
function peer(
  key: KeyObject,
  curve: "P-256" | "P-384",
  short: boolean,
): { readonly point: Uint8Array; readonly secret: string } {
  for (;;) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
    const secret = diffieHellman({ privateKey, publicKey: createPublicKey(key) });
    if (short && secret[0] !== 0) continue;
    const { x = "", y = "" } = publicKey.export({ format: "jwk" });
    const point = Uint8Array.from([0x04, ...Buffer.from(x, "base64url"), ...Buffer.from(y, "base64url")]);
    return { point, secret: secret.toString("hex") };
  }
}

describe("a key agreement", () => {
  test.each([
    ["short-ecdh-answers", true],
    ["point-ecdh-answers", false],
    ["prefixed-ecdh-answers", false],
  ] as const)("of a PIV card with %s", async (deviation, short) => {
    const key = testKey("p-256", "agrees");
    const card = await testCard({ keys: { "9d": { privateKey: key } }, deviations: [deviation] });
    await using program = await Program.at(card, piv);
    const { point, secret } = peer(key, "P-256", short);
    expect(toHex(await program.derive(3, point))).toBe(secret);
  });

  test.each([
    ["short-ecdh-answers", true],
    ["point-ecdh-answers", false],
    ["prefixed-ecdh-answers", false],
  ] as const)("of a PKCS #15 card with %s", async (deviation, short) => {
    const key = testKey("p-256", "authentication");
    await using program = await Program.at(await testPkcs15Card({ deviations: [deviation] }), pkcs15);
    const { point, secret } = peer(key, "P-256", short);
    expect(toHex(await program.derive(2, point))).toBe(secret);
  });

  test("that is cut is CKR_DEVICE_ERROR, never a shorter secret", async () => {
    const { point } = peer(testKey("p-256"), "P-256", false);
    const keys = { "9d": { privateKey: testKey("p-256") } };
    await using program = await Program.at(await testCard({ keys, deviations: ["cut-ecdh-answers"] }), piv);
    await expect(program.derive(3, point)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
    await using other = await Program.at(await testPkcs15Card({ deviations: ["cut-ecdh-answers"] }), pkcs15);
    await expect(other.derive(2, point)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });
});

describe("an RSA signature of a PKCS #15 card", () => {
  const key = testKey("rsa-2048", "authentication");

  test("without its leading zero is the ordinary one, whether the public key is known or not", async () => {
    const message = messageWithShortSignature(key);
    await using program = await Program.at(await testPkcs15Card({ deviations: ["short-rsa-answers"] }), pkcs15);
    const ordinary = toHex(sign("sha256", message, key));
    expect(toHex(await program.sign(1, CKM.SHA256_RSA_PKCS, message))).toBe(ordinary);
    await program.cryptoki.C_GetAttributeValue(program.session, await program.key(1), [CKA.MODULUS]);
    expect(toHex(await program.sign(1, CKM.SHA256_RSA_PKCS, message))).toBe(ordinary);
  });

  test.each([0, 1, 20, 64, 254])("of %p bytes with 9000 is CKR_DEVICE_ERROR", async (length) => {
    const card = answering(await testPkcs15Card(), 0x2a, () => fromHex(`${"07".repeat(length)}9000`));
    await using program = await Program.at(card, pkcs15);
    await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });

  test("that is faulty is not given once the public key is known, whichever application read it", async () => {
    await using program = await Program.at(await testPkcs15Card({ deviations: ["faulty-rsa-answers"] }), pkcs15);
    // The certificate has not been read yet, and nothing is read for a signature.
    expect(await program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).toHaveLength(256);
    await program.cryptoki.C_GetAttributeValue(program.session, await program.key(1, CKO.CERTIFICATE), [CKA.VALUE]);
    await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });

  test("that is faulty is not given at all with verifyResults: always", async () => {
    const faulty = await testPkcs15Card({ deviations: ["faulty-rsa-answers"] });
    await using program = await Program.at(faulty, pkcs15, { verifyResults: "always" });
    await expect(program.sign(1, CKM.SHA256_RSA_PKCS, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  });

  test("costs the reading of the public key once with verifyResults: always, and nothing more then", async () => {
    const card = await testPkcs15Card();
    const commands: string[] = [];
    const watched: InProcessCard = {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) => {
        commands.push(toHex(command.subarray(0, 2)));
        return card.transmit(command);
      },
    };
    await using program = await Program.at(watched, pkcs15, { verifyResults: "always" });
    const handle = await program.key(1);
    const signed = async (): Promise<readonly string[]> => {
      commands.length = 0;
      await program.cryptoki.C_SignInit(program.session, { mechanism: CKM.SHA256_RSA_PKCS }, handle);
      await program.cryptoki.C_Sign(program.session, utf8("message"));
      return [...commands];
    };
    expect(await signed()).toContain("00b0");
    expect(await signed()).toEqual(["002a"]);
  });
});

test("an ECDSA signature that the certificate's key disproves is given as the card has it, and refused with verifyResults: always", async () => {
  const [r, s] = ["11".repeat(32), "22".repeat(32)];
  const card = async (answer: string): Promise<InProcessCard> =>
    answering(await testCard(), GENERAL_AUTHENTICATE, () => authentication(fromHex(answer)));
  for (const answer of [`30440220${r}0220${s}`, `3046022100${r}022100${s}`]) {
    await using program = await Program.at(await card(answer), piv);
    expect(toHex(await program.sign(4, CKM.ECDSA_SHA256, utf8("message")))).toBe(r + s);
    await using careful = await Program.at(await card(answer), piv, { verifyResults: "always" });
    await expect(careful.sign(4, CKM.ECDSA_SHA256, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  }
});
