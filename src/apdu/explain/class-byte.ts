/** A class byte taken apart (ISO/IEC 7816-4 section 5.4.1; GlobalPlatform 2.3 section 11.1.4). */
export interface ClassByte {
  readonly kind: "interindustry" | "proprietary" | "reader" | "reserved";
  /** Further parts of the command follow. */
  readonly chained: boolean;
  readonly secureMessaging?: string;
  /** Logical channel; 0 is the basic one. */
  readonly channel: number;
}

const SECURE_MESSAGING = [
  undefined,
  "proprietary secure messaging",
  "secure messaging, header not authenticated",
  "secure messaging, header authenticated",
] as const;

/** What a class byte says. */
export function readClassByte(cla: number): ClassByte {
  // PC/SC part 3 section 3.2.2.1: such a command is for the reader, and the card does not see it.
  if (cla === 0xff) return { kind: "reader", chained: false, channel: 0 };
  if (cla >= 0xe0 || (cla >= 0x90 && cla < 0xc0)) return { kind: "proprietary", chained: false, channel: 0 };
  if (cla >= 0x20 && cla < 0x40) return { kind: "reserved", chained: false, channel: 0 };
  const kind = cla < 0x80 ? "interindustry" : "proprietary";
  const chained = kind === "interindustry" && (cla & 0x10) !== 0;
  return { kind, chained, ...((cla & 0x40) === 0 ? firstForm(cla) : furtherForm(cla)) };
}

function firstForm(cla: number): Pick<ClassByte, "channel" | "secureMessaging"> {
  const secureMessaging = SECURE_MESSAGING[(cla >> 2) & 0b11];
  return { channel: cla & 0b11, ...(secureMessaging !== undefined && { secureMessaging }) };
}

/** Logical channels 4 to 19. */
function furtherForm(cla: number): Pick<ClassByte, "channel" | "secureMessaging"> {
  const secured = (cla & 0x20) !== 0;
  return { channel: 4 + (cla & 0x0f), ...(secured && { secureMessaging: SECURE_MESSAGING[2] }) };
}

/** In words what is out of the ordinary about a class byte. */
export function classDetails({ kind, secureMessaging, channel }: ClassByte): string[] {
  return [
    ...(kind === "reserved" ? ["class byte reserved"] : []),
    ...(channel === 0 ? [] : [`logical channel ${channel}`]),
    ...(secureMessaging === undefined ? [] : [secureMessaging]),
  ];
}
