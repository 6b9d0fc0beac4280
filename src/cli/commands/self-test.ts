import {
  constants,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
} from "node:crypto";
import type { Command } from "commander";
import { equalBytes, toHex, wipe } from "../../bytes/index.ts";
import {
  type Curve25519,
  digest,
  encodePublicKey,
  keyName,
  type NamedCurve,
  parsePublicKey,
  type PublicKey,
  randomBytes,
} from "../../crypto/index.ts";
import { CKA, CKO, CryptokiError } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { examples } from "../input/options.ts";
import {
  agreementMechanism,
  decryptionMechanism,
  requireSigningKey,
  signatureMechanism,
  signatureScheme,
  verifySignature,
} from "../input/signature.ts";
import { fittingTokens, onCardToken, onlyToken, type Token } from "../input/token.ts";
import { NotFoundError, VerificationFailedError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { isPinGiven, type ObjectEntry, TokenSession } from "../session.ts";

/** What was found of a use of a key. */
interface Tested {
  readonly id: string;
  readonly label: string;
  readonly key: string;
  readonly use: "sign" | "decrypt" | "derive";
  readonly passed: boolean;
  /** Why not; or what was used. */
  readonly detail: string;
}

export function addSelfTest(program: Command, environment: Environment): void {
  const command = program
    .command("self-test")
    .summary("use every key once, and check the result")
    .description(
      "Use every private key of the tokens once: it signs, decrypts or agrees on a secret, and this machine checks the result with the " +
        "public key. The card is not changed. The PIN is given once, and a right one spends no try; a token whose PIN has no more than " +
        "one try left is not touched. Exit code 1: a key failed.",
    )
    .argument("[uri]", "a PKCS #11 URI: only tokens that it matches")
    .addHelpText("after", examples(["cryptoki self-test", "before a card is given to its holder"]));
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    // C_DeriveKey has no operation to which a login for one use could belong.
    context.keepPin();
    let tokens: readonly Token[] = await fittingTokens(context, uri);
    if (tokens.length > 1 && isPinGiven(context, uri)) {
      tokens = [await onlyToken(context, tokens, `there is one PIN, but ${tokens.length} tokens`)];
    }
    const results: { token: Token; tested: Tested[] }[] = [];
    for (const token of tokens) results.push({ token, tested: await testToken(context, token, uri) });
    const all = results.flatMap(({ tested }) => tested);
    if (print.json) {
      print.document(
        results.map(({ token, tested }) => ({
          token: token.label,
          passed: tested.every(({ passed }) => passed),
          keys: tested,
        })),
      );
    } else for (const one of results) tell(context, one.token, one.tested);
    const failed = all.filter(({ passed }) => !passed).length;
    if (failed > 0) throw new VerificationFailedError(`${failed} of ${all.length} tests failed`);
    if (all.length === 0)
      throw new NotFoundError("no private key on the token; list its objects with: cryptoki objects");
  });
}

function tell({ print }: CommandContext, token: Token, tested: readonly Tested[]): void {
  print.line(`${print.colours.bold(visible(token.label))}  ${print.colours.dim(visible(token.slotDescription))}`);
  print.table(
    ["ID", "KEY", "LABEL", "USE", "RESULT", ""],
    tested.map(({ id, key, label, use, passed, detail }) => [
      id,
      key,
      label,
      use,
      { styled: passed ? print.colours.green("passed") : print.colours.red("failed") },
      detail,
    ]),
  );
}

async function testToken(context: CommandContext, token: Token, uri?: string): Promise<Tested[]> {
  await requireTries(context, token);
  const session = await TokenSession.open(context, token, uri);
  await session.login();
  const tested: Tested[] = [];
  for (const key of await session.find({ [CKA.CLASS]: CKO.PRIVATE_KEY })) tested.push(...(await testKey(session, key)));
  return tested;
}

/** @throws {CryptokiError} if a wrong PIN would block the card. */
async function requireTries(context: CommandContext, token: Token): Promise<void> {
  if (context.options.server !== undefined) return;
  const { triesLeft } = await onCardToken(context, token, [token], (one) => one.pinStatus("user", true));
  if (triesLeft === undefined || triesLeft > 1) return;
  const state = triesLeft === 0 ? "is blocked" : "has one try left, which a wrong PIN would spend";
  throw new NotFoundError(`the PIN of ${token.label} ${state}; nothing was tested`);
}

async function testKey(session: TokenSession, entry: ObjectEntry): Promise<Tested[]> {
  const tested: Tested[] = [];
  const named = { id: toHex(entry.id), label: entry.label };
  let publicKey: PublicKey;
  try {
    publicKey = await session.publicKey(entry);
  } catch (error) {
    return [{ ...named, key: "", use: "sign", passed: false, detail: messageOf(error) }];
  }
  const key = keyName(publicKey);
  for (const [use, attribute, test] of USES) {
    if (!(await session.flag(entry.handle, attribute))) continue;
    const outcome = await outcomeOf(() => test(session, entry, publicKey));
    tested.push({ ...named, key, use, ...outcome });
  }
  return tested;
}

async function outcomeOf(test: () => Promise<string | undefined>): Promise<Pick<Tested, "passed" | "detail">> {
  try {
    const detail = await test();
    return detail === undefined ? { passed: false, detail: "the result is wrong" } : { passed: true, detail };
  } catch (error) {
    if (!(error instanceof CryptokiError) && !(error instanceof VerificationFailedError)) throw error;
    return { passed: false, detail: messageOf(error) };
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Uses the key; returns the mechanism that was used, or undefined if the result is wrong. */
type Test = (session: TokenSession, key: ObjectEntry, publicKey: PublicKey) => Promise<string | undefined>;

/** Bytes of a message, which every key can sign as it is. */
const LENGTH = 32;

const signs: Test = async (session, key, publicKey) => {
  const signingKey = requireSigningKey(publicKey);
  const scheme = signatureScheme(signingKey, {}, await session.mechanisms());
  const message = randomBytes(LENGTH);
  const signature = await session.sign(key, signatureMechanism(scheme, LENGTH), message);
  const hashed = scheme.hash === undefined ? message : digest(scheme.hash, message);
  return (await verifySignature(scheme, signingKey, hashed, signature)) ? scheme.name : undefined;
};

const decrypts: Test = async (session, key, publicKey) => {
  const secret = randomBytes(LENGTH);
  const ciphertext = publicEncrypt({ key: keyObject(publicKey), padding: constants.RSA_PKCS1_PADDING }, secret);
  const plaintext = await session.decrypt(key, decryptionMechanism(undefined), new Uint8Array(ciphertext));
  const same = equalBytes(plaintext, secret);
  wipe(plaintext, secret);
  return same ? "RSA_PKCS" : undefined;
};

const derives: Test = async (session, key, publicKey) => {
  if (publicKey.type !== "ec" && publicKey.type !== "montgomery") return undefined;
  const { publicKey: own, privateKey } = otherParty(publicKey.curve);
  const peer = parsePublicKey(new Uint8Array(own.export({ format: "der", type: "spki" })));
  if (peer.type !== publicKey.type || !("point" in peer)) return undefined;
  const secret = await session.derive(key, agreementMechanism(peer.point));
  const expected = new Uint8Array(diffieHellman({ privateKey, publicKey: keyObject(publicKey) }));
  const same = equalBytes(secret, expected);
  wipe(secret, expected);
  return same ? "ECDH1_DERIVE" : undefined;
};

const USES: readonly (readonly [Tested["use"], CKA, Test])[] = [
  ["sign", CKA.SIGN, signs],
  ["decrypt", CKA.DECRYPT, decrypts],
  ["derive", CKA.DERIVE, derives],
];

function keyObject(key: PublicKey): KeyObject {
  return createPublicKey({ key: Buffer.from(encodePublicKey(key)), format: "der", type: "spki" });
}

/** A key pair on the same curve. */
function otherParty(curve: NamedCurve | Curve25519): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return curve === "X25519" || curve === "Ed25519"
    ? generateKeyPairSync("x25519")
    : generateKeyPairSync("ec", { namedCurve: curve });
}
