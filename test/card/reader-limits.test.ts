import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { type Card, type CardProfile, connectCard, PinPadReader, type ReaderFacts } from "../../src/card/index.ts";
import { CKA, CKM, CKO, Cryptoki } from "../../src/cryptoki/index.ts";
import { type CardConnection, type InProcessCard, MemoryReaders, type Pcsc, PcscError } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { refusal, rig } from "../cryptoki/rig.ts";

const isExtended = (command: Uint8Array): boolean => command.length > 5 && command[4] === 0;

describe("a reader that takes no extended command, though the card does", () => {
  test.each(["SCARD_E_NOT_TRANSACTED", "SCARD_E_INSUFFICIENT_BUFFER", "SCARD_F_COMM_ERROR"] as const)(
    "and says %s is sent short ones, for good",
    async (code) => {
      await using made = await rig(await testCard({ extended: true }));
      let refused = 0;
      made.before = (command) => {
        if (!isExtended(command)) return;
        refused++;
        throw new PcscError(code);
      };
      const session = await made.loggedIn();
      const key = await made.privateKey(session, 1);
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      expect(await made.cryptoki.C_Sign(session, utf8("message"))).toHaveLength(256);
      // Once may be an accident.
      expect(refused).toBe(2);
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      expect(await made.cryptoki.C_Sign(session, utf8("message"))).toHaveLength(256);
      expect(refused).toBe(2);
    },
  );

  test("is not taken for one where the card is gone", async () => {
    await using made = await rig(await testCard({ extended: true }));
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    const commands: string[] = [];
    made.before = (command) => {
      commands.push(toHex(command.subarray(0, 2)));
      if (isExtended(command)) throw new PcscError("SCARD_W_REMOVED_CARD");
    };
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await expect(made.cryptoki.C_Sign(session, utf8("message"))).rejects.toMatchObject(refusal("DEVICE_REMOVED"));
    expect(commands).toHaveLength(1);
  });
});

describe("a card that answers an extended GET DATA", () => {
  test.each([0x6700, 0x6d00, 0x6f00])("by %p is asked once more in short form: its keys are found", async (sw) => {
    const card = await testCard({ extended: true });
    await using made = await rig({
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) =>
        command[1] === 0xcb && isExtended(command)
          ? Promise.resolve(Uint8Array.of(sw >> 8, sw & 0xff))
          : card.transmit(command),
    });
    const session = await made.loggedIn();
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(4);
  });

  test("by 6A82 is asked no second time", async () => {
    const card = await testCard({ extended: true, keys: { "9d": null } });
    await using made = await rig(card);
    const session = await made.session();
    const before = made.commands.length;
    await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(3) });
    const asked = made.commands.slice(before).filter((command) => command.includes("5c035fc10b"));
    expect(asked).toHaveLength(1);
  });
});

const GET_FEATURES = 0x42000d48;
const GET_PROPERTIES = 0x42330012;
/** Too long for a short command. */
const DATA = new Uint8Array(300);

interface LimitedReader extends AsyncDisposable {
  readonly pcsc: Pcsc;
  /** Headers of the commands that reached the card, and how long they were. */
  readonly commands: string[];
  /** The length fields of extended commands without data. */
  readonly lengths: string[];
  /** Control codes that the reader was asked. */
  readonly asked: number[];
  open(): Promise<Card>;
  /** Takes the card out and puts it in again. */
  replaceCard(): void;
}

/** A reader with a card that answers 9000 to everything. @param control What the reader answers; an error is what it refuses with. */
function reader(control: (code: number) => string | Error, atr = "3b80800101"): LimitedReader {
  const commands: string[] = [];
  const lengths: string[] = [];
  const asked: number[] = [];
  const readers = new MemoryReaders();
  readers.plug("Reader");
  const inserted: InProcessCard = {
    atr: fromHex(atr),
    reset: () => undefined,
    transmit: (command) => {
      commands.push(`${toHex(command.subarray(0, 4))} ${command.length}`);
      if (command.length === 7) lengths.push(toHex(command.subarray(4)));
      return Promise.resolve(fromHex("9000"));
    },
  };
  readers.insert("Reader", inserted);
  const client = readers.client();
  const withControl = (connection: CardConnection): CardConnection =>
    new Proxy(connection, {
      get(target, name) {
        if (name !== "control") {
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        }
        return (code: number): Promise<Uint8Array> => {
          asked.push(code);
          const answer = control(code);
          return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(fromHex(answer));
        };
      },
    });
  const pcsc: Pcsc = {
    readers: () => client.readers(),
    changes: (signal) => client.changes(signal),
    connect: async (name, options) => withControl(await client.connect(name, options)),
    close: () => client.close(),
  };
  const readerFacts: ReaderFacts = {};
  const open = async (): Promise<Card> => {
    const card = await connectCard(pcsc, "Reader", { readerFacts });
    card.takesExtended();
    return card;
  };
  const replaceCard = (): void => {
    readers.eject("Reader");
    readers.insert("Reader", inserted);
  };
  return { pcsc, commands, lengths, asked, open, replaceCard, [Symbol.asyncDispose]: () => client.close() };
}

/** A reader that has the property dwMaxAPDUDataSize, behind another one. */
const limitedTo = (size: string) => (code: number) =>
  code === GET_FEATURES ? "060442330006" + "120442330012" : `0102090b0a04${size}`;

const putData = (card: Card): Promise<unknown> =>
  card.exclusively(({ send }) => send({ cla: 0, ins: 0xdb, p1: 0, p2: 0, data: DATA }));

describe("a reader that tells how long an APDU it takes", () => {
  test.each([
    ["00000000", "short ones only", ["10db0000 260", "00db0000 50"]],
    ["00010000", "256 bytes, which are short ones", ["10db0000 260", "00db0000 50"]],
    ["2b010000", "299 bytes, one less than there are", ["10db0000 260", "00db0000 50"]],
    ["2c010000", "300 bytes, as many as there are", ["00db0000 307"]],
    ["00000100", "65,536 bytes", ["00db0000 307"]],
  ])("%s: %s", async (size, _, sent) => {
    await using made = reader(limitedTo(size));
    await putData(await made.open());
    expect(made.commands).toEqual(sent);
    expect(made.asked).toEqual([GET_FEATURES, GET_PROPERTIES]);
  });

  test("is asked for no longer an answer", async () => {
    await using made = reader(limitedTo("00040000"));
    const card = await made.open();
    await card.exclusively(({ send }) => send({ cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, ne: 65_536 }));
    expect(made.lengths).toEqual(["000400"]);
  });

  test("is asked once, for all cards that come to it", async () => {
    await using made = reader(limitedTo("00000000"));
    for (let round = 0; round < 2; round++) {
      const card = await made.open();
      await putData(card);
      await putData(card);
      await card[Symbol.asyncDispose]();
    }
    expect(made.asked.filter((code) => code === GET_PROPERTIES)).toHaveLength(1);
  });

  test("is asked once by the facade, whichever cards come to it", async () => {
    await using made = reader(limitedTo("00000000"));
    const profile: CardProfile = {
      name: "long",
      claim: async (card) => {
        card.takesExtended();
        await putData(card);
        return undefined;
      },
    };
    await using cryptoki = new Cryptoki({ pcsc: made.pcsc, profiles: [profile] });
    await cryptoki.C_Initialize();
    await cryptoki.C_GetSlotList(true);
    const perCard = made.commands.length;
    made.replaceCard();
    await cryptoki.C_WaitForSlotEvent(0);
    await cryptoki.C_GetSlotList(true);
    expect(made.commands).toHaveLength(2 * perCard);
    expect(made.asked.filter((code) => code === GET_PROPERTIES)).toHaveLength(1);
  });

  test("is not asked before an extended command is to be sent", async () => {
    await using made = reader(limitedTo("00000000"));
    const card = await made.open();
    await card.exclusively(({ send }) => send({ cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, ne: 256 }));
    expect(made.asked).toEqual([]);
  });
});

test.each([
  ["refuses the question", () => new PcscError("SCARD_E_UNSUPPORTED_FEATURE"), [GET_FEATURES]],
  ["has no such feature", () => "060442330006", [GET_FEATURES]],
  ["has no such property", (code: number) => (code === GET_FEATURES ? "120442330012" : "0102090b"), "both"],
  ["answers nonsense", (code: number) => (code === GET_FEATURES ? "120442330012" : "0a0400"), "both"],
] as const)("a reader that %s is sent extended commands", async (_, control, asked) => {
  await using made = reader(control);
  await putData(await made.open());
  expect(made.commands).toEqual(["00db0000 307"]);
  expect(made.asked).toEqual(asked === "both" ? [GET_FEATURES, GET_PROPERTIES] : asked);
});

test("a reader that refuses the question for its features ends no transaction", async () => {
  await using made = reader(() => new PcscError("SCARD_E_UNSUPPORTED_FEATURE"));
  const card = await made.open();
  await card.exclusively(({ send }) => send({ cla: 0, ins: 0xb0, p1: 0, p2: 0, ne: 1 }));
  const { transaction } = card;
  expect(await PinPadReader.find(card)).toBeUndefined();
  await card.exclusively(({ send }) => send({ cla: 0, ins: 0xb0, p1: 0, p2: 0, ne: 1 }));
  expect(card.transaction).toBe(transaction);
});
