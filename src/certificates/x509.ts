import type * as x509 from "@peculiar/x509";

export type X509 = typeof x509;

/** Loads the library when the first certificate is made, because loading it takes long. */
export async function loadX509(): Promise<X509> {
  // @peculiar/x509 finds its parts by decorators, and needs this first.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}
