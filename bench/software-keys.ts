import * as crypto from "node:crypto";
import { performance } from "node:perf_hooks";
import { fromHex, utf8 } from "../src/bytes/index.ts";
import { CKA, CKF, CKM, Cryptoki, mechanismOf, MemoryReaders, profiles } from "../src/index.ts";
import type { CardFactory } from "./cards.ts";
import { median } from "./median.ts";
import type { HostFigure } from "./report.ts";

const WARM_UP = 300;
const ROUNDS = 1500;
const DATA = utf8("data to be signed");

/** A piece of work with a session's key, and the same with node:crypto. */
interface Comparison {
  readonly title: string;
  readonly own: () => Promise<unknown>;
  readonly node: () => unknown;
}

/** Keys of a session against node:crypto, in turns: C_SignInit and C_Sign, or C_VerifyInit and C_Verify, beside one call of Node's. */
export async function softwareKeyTimes(factory: CardFactory): Promise<readonly HostFigure[]> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", await factory.make("short", false));
  const pcsc = readers.client();
  const cryptoki = new Cryptoki({ pcsc, profiles });
  await cryptoki.C_Initialize();
  const [slot = -1] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  const rsa = await cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN },
    { [CKA.MODULUS_BITS]: 2048, [CKA.VERIFY]: true },
    { [CKA.SIGN]: true },
  );
  const ec = await cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.EC_KEY_PAIR_GEN },
    { [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107"), [CKA.VERIFY]: true },
    { [CKA.SIGN]: true },
  );
  const sign = async (mechanism: number, key: number): Promise<Uint8Array> => {
    await cryptoki.C_SignInit(session, mechanismOf(mechanism), key);
    return cryptoki.C_Sign(session, DATA);
  };
  const verify = async (mechanism: number, key: number, signature: Uint8Array): Promise<void> => {
    await cryptoki.C_VerifyInit(session, mechanismOf(mechanism), key);
    await cryptoki.C_Verify(session, DATA, signature);
  };
  const nodeRsa = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  const nodeEc = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [ecPublic, ecPrivate] = [nodeEc.publicKey, nodeEc.privateKey].map((key) => ({
    key,
    dsaEncoding: "ieee-p1363" as const,
  }));
  if (!ecPublic || !ecPrivate) throw new Error("no key pair");
  const rsaSignature = await sign(CKM.SHA256_RSA_PKCS, rsa.privateKey);
  const ecSignature = await sign(CKM.ECDSA_SHA256, ec.privateKey);
  const nodeRsaSignature = crypto.sign("sha256", DATA, nodeRsa.privateKey);
  const nodeEcSignature = crypto.sign("sha256", DATA, ecPrivate);
  const comparisons: readonly Comparison[] = [
    {
      title: "verify, RSA-2048 with SHA-256",
      own: () => verify(CKM.SHA256_RSA_PKCS, rsa.publicKey, rsaSignature),
      node: () => crypto.verify("sha256", DATA, nodeRsa.publicKey, nodeRsaSignature),
    },
    {
      title: "verify, P-256 with SHA-256",
      own: () => verify(CKM.ECDSA_SHA256, ec.publicKey, ecSignature),
      node: () => crypto.verify("sha256", DATA, ecPublic, nodeEcSignature),
    },
    {
      title: "sign, P-256 with SHA-256",
      own: () => sign(CKM.ECDSA_SHA256, ec.privateKey),
      node: () => crypto.sign("sha256", DATA, ecPrivate),
    },
  ];
  const figures: HostFigure[] = [];
  for (const comparison of comparisons) figures.push(await compare(comparison));
  await cryptoki.C_Finalize();
  await pcsc.close();
  return figures;
}

async function compare({ title, own, node }: Comparison): Promise<HostFigure> {
  const times: { readonly own: number[]; readonly node: number[] } = { own: [], node: [] };
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const start = performance.now();
    await own();
    const between = performance.now();
    await node();
    if (round < 0) continue;
    times.own.push(between - start);
    times.node.push(performance.now() - between);
  }
  const [ours, theirs] = [1000 * median(times.own), 1000 * median(times.node)];
  return {
    title: `key of a session, ${title} / node:crypto`,
    value: ours / theirs,
    unit: "ratio",
    atMost: 2.5,
    remark: `${ours.toFixed(0)} µs; ${theirs.toFixed(0)} µs; medians of ${ROUNDS}`,
  };
}
