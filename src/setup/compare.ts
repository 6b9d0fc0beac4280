import type { PlannedKey } from "./plan.ts";
import { holdsCertificate, keyOnCard, lookAt, placeName } from "./preflight.ts";
import type { SetupCard } from "./tools.ts";
import type { Transcript } from "./transcript.ts";

/**
 * Compares a card with the transcript of its setup: serial number, keys, and certificates that the keys signed themselves. A certificate that an
 * authority made of a request is not in the transcript. No PIN is needed, and nothing is changed.
 * @returns What is different, one sentence each without its end; empty if nothing is.
 * @throws {CardError}.
 */
export async function compareWithCard(transcript: Transcript, card: SetupCard): Promise<string[]> {
  const { card: described = {} } = (transcript.find("begin")?.data ?? {}) as {
    readonly card?: { readonly kind?: string; readonly serial?: string };
  };
  const { serial } = await lookAt(card);
  if (serial !== described.serial) {
    return [
      `the card in the reader has the serial number ${serial}, and the transcript is of ${String(described.serial)}`,
    ];
  }
  const differences: string[] = [];
  const places = new Set(
    transcript.entries.filter(({ step }) => step === "key").map(({ data }) => String(data["about"])),
  );
  for (const place of places) {
    const key = described.kind === "pkcs15" ? { id: place } : { slot: place };
    const planned = { ...key, algorithm: "p256" } as const satisfies PlannedKey;
    const found = await keyOnCard(card.token, planned);
    if (found === undefined) differences.push(`there is no key in ${placeName(planned)}`);
    else if (found !== transcript.find("key", place)?.data["publicKey"])
      differences.push(`the key in ${placeName(planned)} is another one`);
    const pem = transcript.find("self-signed", place)?.data["certificate"];
    if (typeof pem === "string" && !(await holdsCertificate(card.token, planned, pem)))
      differences.push(`the certificate in ${placeName(planned)} is another one, or gone`);
  }
  return differences;
}
