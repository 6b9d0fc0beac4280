import { bytesLong, type ExplainedCommand, hex, type Instruction, outline, p1p2, type TlvNode } from "./instruction.ts";
import { describeAlgorithm, describeKey, describeObject, isKeyReference } from "./names.ts";

const PIV = "SP 800-73-4 part 2";
const YUBICO = "Yubico PIV extension";

/**
 * GET DATA and PUT DATA of PIV address the current DF (P1-P2 = 3FFF) and name the object by a tag list or by its own
 * tag.
 */
const CURRENT_DF = 0x3fff;

function objectTag({ data }: ExplainedCommand): number | undefined {
  const [first] = outline(data);
  if (first?.tag === 0x7e || first?.tag === 0x7f61) return first.tag;
  if (first?.tag !== 0x5c || first.value.length === 0 || first.value.length > 3) return undefined;
  return first.value.reduce((tag, byte) => tag * 256 + byte, 0);
}

const namesObject = (command: ExplainedCommand): boolean =>
  p1p2(command) === CURRENT_DF && objectTag(command) !== undefined;

function dataObject(command: ExplainedCommand): string[] {
  const tag = objectTag(command);
  return tag === undefined ? [] : [`object ${describeObject(tag)}`];
}

function putData(command: ExplainedCommand): string[] {
  const content = outline(command.data).find(({ tag }) => tag === 0x53);
  if (content === undefined) return dataObject(command);
  return [...dataObject(command), content.length === 0 ? "clears it" : `${bytesLong(content.length)} of content`];
}

const usesKey = ({ p2 }: ExplainedCommand): boolean => isKeyReference(p2);

/** Tags of the dynamic authentication template (SP 800-73-4 part 2 table 7). */
const DYNAMIC: ReadonlyMap<number, string> = new Map([
  [0x80, "witness"],
  [0x81, "challenge"],
  [0x82, "response"],
  [0x85, "exponentiation"],
]);

/** An empty object requests the value from the card; a full one provides it (section 3.2.4). */
function describeDynamic({ tag, length }: TlvNode): string {
  const name = DYNAMIC.get(tag) ?? `object ${hex(tag)}`;
  return length === 0 ? `requests ${name}` : `provides ${name} of ${bytesLong(length)}`;
}

function generalAuthenticate({ p1, p2, data }: ExplainedCommand): string[] {
  const [template] = outline(data);
  const objects = template?.tag === 0x7c ? outline(template.value).map(describeDynamic) : ["continues a chain"];
  return [describeKey(p2), describeAlgorithm(p1), ...objects];
}

const PIN_POLICIES: ReadonlyMap<number, string> = new Map([
  [1, "never"],
  [2, "once"],
  [3, "always"],
  [4, "match once"],
  [5, "match always"],
]);
const TOUCH_POLICIES: ReadonlyMap<number, string> = new Map([
  [1, "never"],
  [2, "always"],
  [3, "cached"],
]);

function policies(nodes: readonly TlvNode[]): string[] {
  return nodes.flatMap(({ tag, value }) => {
    const policy = value[0] ?? 0;
    if (tag === 0xaa) return [`PIN policy: ${PIN_POLICIES.get(policy) ?? hex(policy)}`];
    if (tag === 0xab) return [`touch policy: ${TOUCH_POLICIES.get(policy) ?? hex(policy)}`];
    return [];
  });
}

function generate({ p2, data }: ExplainedCommand): string[] {
  const template = outline(data).find(({ tag }) => tag === 0xac);
  const inside = template ? outline(template.value) : [];
  const algorithm = inside.find(({ tag }) => tag === 0x80)?.value[0];
  return [describeKey(p2), ...(algorithm === undefined ? [] : [describeAlgorithm(algorithm)]), ...policies(inside)];
}

function moveKey({ p1, p2 }: ExplainedCommand): string[] {
  return p1 === 0xff ? [`deletes ${describeKey(p2)}`] : [`from ${describeKey(p2)}`, `to ${describeKey(p1)}`];
}

function setManagementKey({ p2 }: ExplainedCommand): string[] {
  return ["data concealed", ...(p2 === 0xfe ? ["touch needed for each use"] : [])];
}

/** Instructions of a PIV card application; other applications may use them for something else. */
export const PIV_COMMANDS: readonly Instruction[] = [
  { ins: 0xcb, name: "GET DATA", standard: `${PIV} 3.1.2`, when: namesObject, details: dataObject },
  { ins: 0xdb, name: "PUT DATA", standard: `${PIV} 3.3.1`, when: namesObject, details: putData },
  { ins: 0x87, name: "GENERAL AUTHENTICATE", standard: `${PIV} 3.2.4`, when: usesKey, details: generalAuthenticate },
  {
    ins: 0x47,
    name: "GENERATE ASYMMETRIC KEY PAIR",
    standard: `${PIV} 3.3.2`,
    when: (command) => command.p1 === 0 && usesKey(command),
    details: generate,
  },
  { ins: 0xf6, name: "MOVE KEY", standard: YUBICO, details: moveKey },
  {
    ins: 0xf7,
    name: "GET METADATA",
    standard: YUBICO,
    details: ({ p2 }) => [p2 === 0x80 ? "PIN" : p2 === 0x81 ? "PUK" : describeKey(p2)],
  },
  { ins: 0xf8, name: "GET SERIAL NUMBER", standard: YUBICO },
  { ins: 0xf9, name: "ATTEST", standard: YUBICO, details: ({ p1 }) => [describeKey(p1)] },
  {
    ins: 0xfa,
    name: "SET PIN RETRIES",
    standard: YUBICO,
    details: ({ p1, p2 }) => [`PIN: ${p1} tries`, `PUK: ${p2} tries`, "resets both to their factory values"],
  },
  {
    ins: 0xfb,
    name: "RESET",
    standard: YUBICO,
    details: () => ["erases all keys and objects; requires blocked PIN and PUK"],
  },
  { ins: 0xfd, name: "GET VERSION", standard: YUBICO },
  {
    ins: 0xfe,
    name: "IMPORT ASYMMETRIC KEY",
    standard: YUBICO,
    when: usesKey,
    details: ({ p1, p2 }) => [describeKey(p2), describeAlgorithm(p1), "data concealed"],
  },
  { ins: 0xff, name: "SET MANAGEMENT KEY", standard: YUBICO, details: setManagementKey },
];
