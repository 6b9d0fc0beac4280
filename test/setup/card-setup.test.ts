import { createPublicKey, generateKeyPairSync, pbkdf2Sync, sign, X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import * as pkijs from "pkijs";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { Transcript, verifyTranscript } from "../../src/setup/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { cardOf, digitsOf, imageOf, SetupBench } from "./rig.ts";

const SERIAL = "7654321";
const PLAN = {
  plan: 1,
  card: { kind: "yubikey", firmware: "5.3" },
  pin: "random",
  puk: "random",
  managementKey: { value: "random" },
  tries: { pin: 6, puk: 4 },
  chuid: { fascn: { agency: "9999", system: "1234", credential: "567890" }, expires: "2034-05-06" },
  ccc: true,
  keys: [
    {
      slot: "9a",
      algorithm: "p256",
      pinPolicy: "once",
      touchPolicy: "cached",
      certificate: { kind: "self-signed", subject: "CN=Ada {serial}", days: 30 },
    },
    { slot: "9c", algorithm: "p384", pinPolicy: "always", certificate: { kind: "request", subject: "CN=Ada" } },
    { slot: "9d", algorithm: "x25519" },
    { slot: "82", algorithm: "ed25519", certificate: { kind: "self-signed", subject: "CN=Old" } },
  ],
};

let empty: string;
beforeAll(async () => {
  empty = (await VirtualPivCard.create({ yubico: true, empty: true, serial: Number(SERIAL) })).image();
});
const newBench = (): SetupBench => new SetupBench(cardOf(empty));
const der = (pem: string): Uint8Array => new Uint8Array(new X509Certificate(pem).raw);

describe("an empty YubiKey", () => {
  test("is in service after one setup, and the transcript says so", async () => {
    const bench = newBench();
    const root = der(imageOf(bench.card).attestationKey.root);
    const readCertificates = (): Promise<Uint8Array[]> => Promise.resolve([root]);
    const result = await bench.setUp({ ...PLAN, attestation: { roots: "roots.pem" } }, { readCertificates });
    expect(result).toMatchObject({ serial: SERIAL, wasDone: false, secrets: `${SERIAL}.secrets` });
    const image = imageOf(bench.card);
    const secrets = bench.secrets(`${SERIAL}.secrets`);
    expect(digitsOf(image.pin)).toBe(secrets["pin"]);
    expect(digitsOf(image.puk)).toBe(secrets["puk"]);
    expect(image).toMatchObject({
      pin: { tries: 6, maxTries: 6 },
      puk: { tries: 4, maxTries: 4 },
      managementKey: { algorithm: "aes-256", value: secrets["management-key"] },
      keys: { "9a": { touchPolicy: "cached" }, "9c": { pinPolicy: "always" }, "9d": {}, "82": {} },
    });
    expect(image.objects["5fc102"]).toMatch(/^3019.{50}3410.{32}35083230333430353036/u);
    expect(image.objects["5fc107"]).toMatch(/^f015a000000116ff02/u);
    expect([...bench.secretFiles]).toEqual([`${SERIAL}.secrets`]);
    const written = bench.text(result.transcript);
    for (const secret of Object.values(secrets)) expect(written).not.toContain(secret);
    const verified = await verifyTranscript(Transcript.parse(utf8(written)), { roots: [root], digest: result.digest });
    expect(verified).toMatchObject({
      serial: SERIAL,
      isComplete: true,
      keys: [
        { place: "9a", type: "P-256", attested: "to a root", certificate: "self-signed" },
        { place: "9c", type: "P-384", attested: "to a root", certificate: "request" },
        { place: "9d", type: "X25519", attested: "to a root", certificate: "none" },
        { place: "82", type: "Ed25519", attested: "to a root", certificate: "self-signed" },
      ],
    });
    expect(bench.questions).toEqual([]);
    expect(bench.files.has(`${SERIAL}.9c.request.pem`)).toBe(true);
  });

  test("is not set up twice, and anew after a reset by another program", async () => {
    const bench = newBench();
    const first = await bench.setUp(PLAN);
    const image = JSON.stringify(imageOf(bench.card));
    expect(await bench.setUp(PLAN)).toEqual({ ...first, wasDone: true });
    expect(JSON.stringify(imageOf(bench.card))).toBe(image);
    const other = new SetupBench(cardOf(empty));
    for (const [name, bytes] of bench.files) other.files.set(name, bytes);
    const second = await other.setUp(PLAN);
    expect(second).toMatchObject({ wasDone: false, transcript: `${SERIAL}-2.transcript.json` });
    expect(other.secrets(`${SERIAL}-2.secrets`)["pin"]).toBe(digitsOf(imageOf(other.card).pin));
  });

  test("keeps the management key behind its PIN, if the plan says so", async () => {
    const bench = newBench();
    await bench.setUp({
      ...PLAN,
      keys: [],
      managementKey: { value: "random", algorithm: "aes-128", protectedByPin: true },
    });
    const { objects, managementKey } = imageOf(bench.card);
    expect(managementKey.algorithm).toBe("aes-128");
    expect(objects).toMatchObject({ "5fff00": "8003810102", "5fc109": `88128910${managementKey.value}` });
  });
});

describe("a card in service", () => {
  test("is overwritten only after a question, with its present secrets", async () => {
    const bench = newBench();
    await bench.setUp(PLAN);
    const before = JSON.stringify(imageOf(bench.card));
    const { pin = "", puk = "", "management-key": key = "" } = bench.secrets(`${SERIAL}.secrets`);
    const other = { ...PLAN, name: "another", keys: [{ slot: "9a", algorithm: "p384" }] };
    await expect(bench.setUp(other)).rejects.toThrow("is in service already, and its PIN, keys and certificates");
    bench.files.clear();
    bench.answer = true;
    await expect(bench.setUp(other)).rejects.toThrow(/PIN of its own: give it with --pin-source.*nothing was changed/u);
    expect(JSON.stringify(imageOf(bench.card))).toBe(before);
    const present = { pin, puk, "management-key": key, "so-pin": "" };
    await bench.setUp(other, { currentSecret: (name) => Promise.resolve(utf8(present[name])) });
    const image = imageOf(bench.card);
    expect(digitsOf(image.pin)).toBe(bench.secrets(`${SERIAL}.secrets`)["pin"]);
    expect(digitsOf(image.pin)).not.toBe(pin);
    // The certificate of the key before is gone with it.
    expect(image.objects["5fc105"]).toBeUndefined();
  });

  test.each(["protected by its PIN", "derived from its PIN"])(
    "its management key is %s: the PIN is enough",
    async (how) => {
      const key = "00112233445566778899aabbccddeeff0011223344556677";
      const salt = Buffer.alloc(16, 7);
      const derived = pbkdf2Sync("135792", salt, 10_000, 24, "sha1").toString("hex");
      const isDerived = how.startsWith("derived");
      const objects = isDerived
        ? new Map([[0x5fff00, fromHex(`80128210${salt.toString("hex")}`)]])
        : new Map([
            [0x5fff00, fromHex("8003810102")],
            [0x5fc109, fromHex(`881a8918${key}`)],
          ]);
      const managementKey = { algorithm: "3des", value: fromHex(isDerived ? derived : key) } as const;
      const card = await VirtualPivCard.create({
        yubico: true,
        empty: true,
        serial: Number(SERIAL),
        pin: "135792",
        objects,
        managementKey,
      });
      const bench = new SetupBench(card);
      bench.answer = true;
      const currentSecret = (name: string): Promise<Uint8Array | undefined> =>
        Promise.resolve(name === "pin" ? utf8("135792") : undefined);
      const plan = { ...PLAN, tries: undefined, keys: PLAN.keys.slice(0, 1) };
      if (isDerived) {
        await expect(bench.setUp({ ...plan, managementKey: { value: "keep" } }, { currentSecret })).rejects.toThrow(
          "managementKey.value: the card's key is derived from the PIN",
        );
      }
      await bench.setUp(plan, { currentSecret });
      const image = imageOf(card);
      expect(image.managementKey.value).toBe(bench.secrets(`${SERIAL}.secrets`)["management-key"]);
      expect([image.pin.tries, image.objects["5fff00"], image.objects["5fc109"]]).toEqual([3, "8003810100", undefined]);
    },
  );

  test("is reset first, if the plan says so: nothing of it need be known", async () => {
    const bench = newBench();
    await bench.setUp(PLAN);
    bench.files.clear();
    const other = { ...PLAN, reset: true, keys: [{ slot: "9e", algorithm: "p256" }] };
    await expect(bench.setUp(other)).rejects.toThrow("all that is on it is destroyed for ever");
    bench.answer = true;
    await bench.setUp(other);
    expect(Object.keys(imageOf(bench.card).keys)).toEqual(["9e"]);
  });
});

describe("before anything is changed", () => {
  test.each([
    [{ card: { kind: "piv" } }, undefined],
    [
      { card: { kind: "pkcs15" }, managementKey: undefined, chuid: undefined, ccc: undefined, keys: [] },
      "for a PKCS #15 card, and this is a PIV card",
    ],
    [{ card: { kind: "yubikey", firmware: "6.1" } }, "wants firmware 6.1 or later, and the card has firmware 5.7.1"],
    [{ card: { kind: "yubikey", model: "MyEID" } }, "cards of the model MyEID, and this is a PIV"],
    [{ pin: "keep", tries: undefined }, "pin: the PIN would stay the one that every new card has"],
    [{ puk: undefined, tries: undefined }, "puk: the PUK would stay"],
    [{ managementKey: undefined }, "managementKey.value: the management key would stay"],
    [{ weak: "refuse", pin: { clear: "234567" } }, "pin: everybody guesses it"],
    [{ pin: { clear: "12" } }, "pin: on this card it has 6 to 8 characters"],
    [{ managementKey: { value: { clear: "0011" } } }, "managementKey.value: it has 32, 48, 64 hexadecimal digits"],
    [{ managementKey: { value: { random: 8 } } }, 'write "random"'],
  ])("%j is checked", async (change, message) => {
    const bench = newBench();
    const before = JSON.stringify(imageOf(bench.card));
    const work = bench.setUp({ ...PLAN, ...change });
    if (message === undefined) {
      await work;
      return;
    }
    await expect(work).rejects.toThrow(message);
    expect(JSON.stringify(imageOf(bench.card))).toBe(before);
    expect(bench.files.size).toBe(0);
  });

  test("the secrets are on the disk: if they cannot be written, the card stays as it is", async () => {
    const bench = newBench();
    const before = JSON.stringify(imageOf(bench.card));
    const { store } = bench.tools();
    const full = { ...store, write: () => Promise.reject(new Error("no space left")) };
    await expect(bench.setUp(PLAN, { store: full })).rejects.toThrow("no space left");
    expect(JSON.stringify(imageOf(bench.card))).toBe(before);
    const withoutTranscript = {
      ...store,
      write: (name: string, bytes: Uint8Array, secret?: boolean) =>
        name.endsWith(".secrets") ? store.write(name, bytes, secret) : Promise.reject(new Error("no space left")),
    };
    await expect(bench.setUp(PLAN, { store: withoutTranscript })).rejects.toThrow("no space left");
    expect([JSON.stringify(imageOf(bench.card)), [...bench.files.keys()]]).toEqual([before, [`${SERIAL}.secrets`]]);
  });

  test("an interrupted setup whose secrets are lost says what is missing", async () => {
    const bench = newBench();
    bench.strikeAt(40, "the card is out");
    await expect(bench.setUp(PLAN)).rejects.toThrow();
    bench.heal();
    bench.files.delete(`${SERIAL}.secrets`);
    await expect(bench.setUp(PLAN)).rejects.toThrow(`its secrets are not in ${SERIAL}.secrets any more`);
  });

  test("what is left as the factory set it must be said, and is warned of; so are weak secrets", async () => {
    const bench = newBench();
    const plan = {
      plan: 1,
      card: { kind: "yubikey" },
      pin: "default",
      puk: { clear: "11111111" },
      managementKey: { value: "default" },
    };
    await bench.setUp(plan);
    expect(bench.warnings).toEqual([
      "the PIN stays the one that every new card has",
      "the management key stays the one that every new card has",
      expect.stringContaining("puk: everybody guesses it"),
    ]);
    expect(digitsOf(imageOf(bench.card).puk)).toBe("11111111");
  });

  test("a standard PIV card: what needs Yubico's commands is refused by its name", async () => {
    const card = await VirtualPivCard.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const bench = new SetupBench(card);
    bench.answer = true;
    const plan = { plan: 1, card: { kind: "piv" }, pin: "default", puk: "default" };
    const refused = async (more: object): Promise<unknown> =>
      bench.setUp({ ...plan, ...more }).then(
        () => "done",
        (error: unknown) => (error as Error).message,
      );
    expect(await refused({ reset: true })).toMatch(/^reset: only cards with Yubico's commands/u);
    expect(await refused({ managementKey: { value: "random" } })).toMatch(/^managementKey: only cards/u);
    expect(await refused({ keys: [{ slot: "9a", algorithm: "p256", touchPolicy: "always" }] })).toMatch(
      /^keys\[0\]\.touchPolicy:/u,
    );
    expect(await refused({ chuid: {} })).toMatch(/^chuid: this card's serial number is made from it/u);
    expect(await refused({ pin: { clear: "864209" }, keys: [{ slot: "9a", algorithm: "p256" }] })).toBe("done");
    expect(digitsOf(imageOf(card).pin)).toBe("864209");
  });

  test("a PKCS #15 card: its PINs are set, and a label is refused where it has none", async () => {
    const bench = new SetupBench(await testPkcs15Card());
    bench.answer = true;
    const plan = { plan: 1, card: { kind: "pkcs15" } };
    await expect(
      bench.setUp(
        { ...plan, attestation: { roots: "a" } },
        { readCertificates: () => Promise.resolve([new Uint8Array(1)]) },
      ),
    ).rejects.toThrow("attestation: this card cannot do that from here");
    await expect(bench.setUp({ ...plan, tries: { pin: 3, puk: 3 }, pin: "random", puk: "random" })).rejects.toThrow(
      "tries: this card cannot do that from here",
    );
  });
});

describe("secrets and transcript", () => {
  test("sealed secrets are read by the certificate's owner only, and the plain file is gone", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const owner = await import("@peculiar/x509").then(async ({ X509CertificateGenerator }) => {
      const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
      const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
      const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
      const keys = {
        privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]),
        publicKey: await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]),
      };
      return X509CertificateGenerator.createSelfSigned({ name: "CN=Owner", keys, signingAlgorithm: algorithm });
    });
    const certificate = new Uint8Array(owner.rawData);
    const bench = newBench();
    const plan = { ...PLAN, keys: [], secrets: { sealTo: "owner.pem" } };
    const readCertificates = (): Promise<Uint8Array[]> => Promise.resolve([certificate]);
    const result = await bench.setUp(plan, { readCertificates });
    expect(result.secrets).toBe(`${SERIAL}.secrets.p7m`);
    expect(bench.files.has(`${SERIAL}.secrets`)).toBe(false);
    const sealed = bench.files.get(`${SERIAL}.secrets.p7m`) ?? new Uint8Array();
    const enveloped = new pkijs.EnvelopedData({ schema: pkijs.ContentInfo.fromBER(sealed.slice()).content as unknown });
    const opened = await enveloped.decrypt(0, {
      recipientCertificate: pkijs.Certificate.fromBER(certificate.slice()),
      recipientPrivateKey: new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" })).slice().buffer,
    });
    expect(Buffer.from(opened).toString()).toContain(`pin ${digitsOf(imageOf(bench.card).pin)}\n`);
    expect(await bench.setUp(plan, { readCertificates })).toMatchObject({ wasDone: true });
    await expect(bench.setUp(plan, { readCertificates: () => Promise.resolve([Uint8Array.of(1)]) })).rejects.toThrow(
      "secrets.sealTo",
    );
  });

  test("a transcript is signed, and a changed one is found", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const bench = newBench();
    const signer = {
      publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
      sign: (digest: Uint8Array): string => sign(null, digest, privateKey).toString("base64"),
    };
    const { transcript, digest } = await bench.setUp({ ...PLAN, keys: PLAN.keys.slice(0, 1) }, { signer });
    const text = bench.text(transcript);
    expect(Transcript.parse(utf8(text)).signature).toMatchObject({ publicKey: signer.publicKey });
    const changed = (from: RegExp | string, to: string): Uint8Array => utf8(text.replace(from, to));
    expect(() => Transcript.parse(changed(SERIAL, "7654322"))).toThrow("entry 1 of the transcript (begin) was changed");
    expect(() => Transcript.parse(changed(/"step": "puk"/u, '"step": "pux"'))).toThrow(
      /entry \d+ of the transcript \(pux\)/u,
    );
    const shorter = JSON.parse(text) as { entries: unknown[] };
    shorter.entries.splice(3, 1);
    expect(() => Transcript.parse(utf8(JSON.stringify(shorter)))).toThrow("entry 4 of the transcript");
    shorter.entries.splice(3);
    const cut = Transcript.parse(utf8(JSON.stringify(shorter)));
    await expect(verifyTranscript(cut, { roots: [], digest })).rejects.toThrow("another one than the digest is of");
    expect(() => Transcript.parse(utf8("{}"))).toThrow("no transcript of cryptoki card setup");
    await expect(verifyTranscript(Transcript.parse(utf8(text)), { roots: [fromHex("3000")] })).rejects.toThrow();
  });

  test("a transcript of another device's attestation does not verify", async () => {
    const bench = newBench();
    const { transcript } = await bench.setUp({ ...PLAN, keys: PLAN.keys.slice(0, 1) });
    const parsed = Transcript.parse(bench.files.get(transcript) ?? new Uint8Array());
    const forged = Transcript.begin();
    for (const { step, data, time } of parsed.entries) {
      const card = { ...(data["card"] as object), serial: "1" };
      forged.append(step, new Date(time), step === "begin" ? { ...data, card } : data);
    }
    await expect(verifyTranscript(forged, { roots: [] })).rejects.toThrow("an attestation is of another device");
  });
});
