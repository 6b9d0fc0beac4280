import { equalBytes, toHex } from "../bytes/index.ts";
import { type PublicStore, reliableStore } from "../card/index.ts";
import type { AppletAddress } from "./commands.ts";
import type { CertificateSource, StoredCertificate } from "./certificates.ts";

/** Bytes of a certificate that are compared with a copy of it: they have its serial number and its dates. */
const HEAD = 256;

/** Where the copies of one card are. */
export interface CopyPlace {
  readonly store: PublicStore;
  /** The number in the card's capability container, which tells the cards apart. */
  readonly cardId: Uint8Array;
}

/**
 * A certificate of which an earlier process may have left a copy. A card has no mark of a change, so the copy serves only after the card has
 * shown that its certificate begins in the same way. A compressed certificate has no such beginning and is always read.
 */
export function copiedCertificate(
  source: CertificateSource,
  { aid, object }: AppletAddress,
  { store: given, cardId }: CopyPlace,
): CertificateSource {
  const store = reliableStore(given);
  const key = `cac ${toHex(cardId)} ${toHex(aid)} ${object === undefined ? "" : toHex(object)}`;
  const readAndKeep = async (): Promise<StoredCertificate> => {
    const stored = await source.read();
    if (!stored.compressed) await store.set(key, stored.bytes);
    return stored;
  };
  let isUsable = true;
  return {
    isPresent: () => source.isPresent(),
    head: (wanted) => source.head(wanted),
    forget: () => {
      isUsable = false;
      source.forget();
    },
    read: async () => {
      const copy = isUsable ? await store.get(key) : undefined;
      if (copy === undefined || copy.length <= HEAD) return readAndKeep();
      const head = await source.head(HEAD);
      const isSame = head !== undefined && head.length >= HEAD && equalBytes(head, copy.subarray(0, head.length));
      return isSame ? { bytes: copy, compressed: false } : readAndKeep();
    },
  };
}
