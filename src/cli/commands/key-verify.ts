import type { Command } from "commander";
import { parseCertificate } from "../../asn1/index.ts";
import { equalBytes, toHex } from "../../bytes/index.ts";
import type { KeyProof } from "../../certificates/index.ts";
import { parsePublicKey } from "../../crypto/index.ts";
import { CKA, CKO } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { requireCurrentKey } from "../input/card-key.ts";
import { openKeySession } from "../input/certificate-signer.ts";
import { subjectOf } from "../input/certificate-writing.ts";
import { readPublicKey } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf } from "../input/key-place.ts";
import { proveOnToken } from "../input/key-proof.ts";
import { examples } from "../input/options.ts";
import { UsageError, VerificationFailedError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import type { TokenSession } from "../session.ts";

interface VerifyOptions extends KeyPlaceOptions {
  readonly key?: string;
}

const WORDS: Readonly<Record<KeyProof, string>> = {
  signature: "signed a random value, and the signature is right",
  decryption: "decrypted a random value, and it came back right",
  agreement: "agreed on a secret with a new key, and both have the same",
};

export function addKeyVerify(key: Command, environment: Environment): void {
  const command = keyPlaceOptions(
    key
      .command("verify")
      .summary("try whether a key works, and belongs to its certificate")
      .description(
        "Have a key sign, decrypt or agree on a random value, and check the result with its public key on this computer. A certificate beside " +
          "the key, and what --key names, must be of the same key. The PIN is asked for where the key wants it.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token"),
    "the key",
  )
    .option("--key <file>", "a certificate or public key that must be the key's, PEM or DER")
    .addHelpText(
      "after",
      examples(
        ["cryptoki key verify --reference 9a", "of a PIV card"],
        ["cryptoki key verify --reference 9a --key issued.pem", "before a certificate is written"],
      ),
    );
  action<VerifyOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    // C_DeriveKey has no operation to which a PIN for this use could belong.
    context.keepPin();
    const wanted = options.key === undefined ? undefined : await spkiOf(context, options.key);
    const { session, id } = await openKeySession(context, options, uri);
    const { token } = session;
    const name = placeName(token, id);
    const { spki } = await requireCurrentKey(session, id);
    await checkCertificates(session, id, spki, name);
    if (wanted && !equalBytes(wanted, spki)) {
      throw new VerificationFailedError(`${options.key ?? ""} is of another key than the one in ${name}`);
    }
    const proof = await proveOnToken(session, id, parsePublicKey(spki));
    if (!proof) throw new UsageError(`the key in ${name} allows nothing that can be checked here`);
    if (!proof.isRight) {
      throw new VerificationFailedError(
        `the key in ${name} is not the one of its public key: its ${proof.by} is wrong`,
      );
    }
    context.print.done(`The key in ${name} ${WORDS[proof.by]}.`, {
      verified: true,
      id: toHex(id),
      reference: referenceOf(token, id),
      by: proof.by,
    });
  });
}

async function spkiOf({ signal }: CommandContext, file: string): Promise<Uint8Array> {
  return new Uint8Array((await readPublicKey(file, signal)).export({ format: "der", type: "spki" }));
}

/** @throws {VerificationFailedError} for a certificate beside the key that is another key's. */
async function checkCertificates(session: TokenSession, id: Uint8Array, spki: Uint8Array, name: string): Promise<void> {
  for (const { handle } of await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: id })) {
    const der = await session.value(handle);
    if (equalBytes(parseCertificate(der).subjectPublicKeyInfo, spki)) continue;
    throw new VerificationFailedError(
      `the certificate of ${subjectOf(der)} in ${name} is of another key than the one there`,
    );
  }
}
