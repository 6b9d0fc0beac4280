/** A data object of the PIV card application besides the certificates (SP 800-73-4 part 1 tables 2 and 3). */
export interface Container {
  readonly tag: number;
  readonly name: string;
  /** ContainerID as an object identifier below 2.16.840.1.101.3.7. */
  readonly objectId: string;
  /** Reading needs the PIN. */
  readonly pin: boolean;
}

const container = (tag: number, name: string, arcs: string, pin = false): Container => ({
  tag,
  name,
  objectId: `2.16.840.1.101.3.7.${arcs}`,
  pin,
});

export const CONTAINER = {
  CCC: container(0x5fc107, "Card Capability Container", "1.219.0"),
  CHUID: container(0x5fc102, "Card Holder Unique Identifier", "2.48.0"),
  FINGERPRINTS: container(0x5fc103, "Cardholder Fingerprints", "2.96.16", true),
  SECURITY_OBJECT: container(0x5fc106, "Security Object", "2.144.0"),
  FACIAL_IMAGE: container(0x5fc108, "Cardholder Facial Image", "2.96.48", true),
  PRINTED_INFORMATION: container(0x5fc109, "Printed Information", "2.48.1", true),
  DISCOVERY: container(0x7e, "Discovery Object", "2.96.80"),
  KEY_HISTORY: container(0x5fc10c, "Key History Object", "2.96.96"),
  IRIS_IMAGES: container(0x5fc121, "Cardholder Iris Images", "2.16.21", true),
  BIT_GROUP: container(0x7f61, "Biometric Information Templates Group Template", "2.16.22"),
  SECURE_MESSAGING_SIGNER: container(0x5fc122, "Secure Messaging Certificate Signer", "2.16.23"),
  PAIRING_CODE: container(0x5fc123, "Pairing Code Reference Data Container", "2.16.24", true),
} as const satisfies Record<string, Container>;
