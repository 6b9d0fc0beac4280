import { equalBytes } from "../../bytes/index.ts";
import { type CardObject, type GeneratedKeyPair, MalformedAnswerError } from "../../card/index.ts";

/** Both halves of a key that was just generated. @throws {MalformedAnswerError} if the directories do not list them. */
export function keyPairOf(objects: readonly CardObject[], id: Uint8Array): GeneratedKeyPair {
  const halves = objects.filter((object) => equalBytes(object.id, id));
  const privateKey = halves.find((object) => object.class === "private-key");
  const publicKey = halves.find((object) => object.class === "public-key");
  if (privateKey && publicKey) return { privateKey, publicKey };
  throw new MalformedAnswerError("the key was generated, but its directory does not list it");
}
