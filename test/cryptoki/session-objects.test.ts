import { afterEach, describe, expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { utf8 } from "../../src/bytes/index.ts";
import { AttributeSet } from "../../src/cryptoki/attributes/attribute-set.ts";
import { CKA, CKK, CKM, CKO, CKU, type Template } from "../../src/cryptoki/index.ts";
import { copiesIn } from "./copies.ts";
import { PIN, refusal } from "./rig.ts";
import { find, writableRig } from "./writable-card.ts";
import { shareOf } from "../seeded-random.ts";

afterEach(() => {
  jest.restoreAllMocks();
});

const number = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);

describe("session objects", () => {
  test("are found in time that grows with the matches: 10,000 of them, and one is looked at", async () => {
    await using made = await writableRig();
    const { one } = made;
    const session = await made.session();
    const handles: number[] = [];
    for (let index = 0; index < 10_000; index++) {
      const key = {
        [CKA.CLASS]: CKO.SECRET_KEY,
        [CKA.KEY_TYPE]: index % 2 ? CKK.AES : CKK.GENERIC_SECRET,
        [CKA.VALUE]: new Uint8Array(16),
        [CKA.ID]: number(index),
        [CKA.LABEL]: `key ${index % 1000}`,
        [CKA.CHECK_VALUE]: new Uint8Array(),
      };
      handles.push(await one.C_CreateObject(session, key));
    }
    const looks = jest.spyOn(AttributeSet.prototype, "mayMatch");
    const looked = async (template: Template): Promise<readonly [found: number[], looks: number]> => {
      looks.mockClear();
      const found = await find(one, session, template);
      // Each match is looked at as the search begins, and once more before it is told.
      return [found, looks.mock.calls.length - found.length];
    };
    expect(await looked({ [CKA.CLASS]: CKO.SECRET_KEY, [CKA.ID]: number(7777) })).toEqual([[handles[7777]], 1]);
    expect(await looked({ [CKA.CLASS]: CKO.SECRET_KEY, [CKA.ID]: number(1) })).toEqual([[handles[1]], 1]);
    const [byLabel, looksByLabel] = await looked({ [CKA.CLASS]: CKO.SECRET_KEY, [CKA.LABEL]: "key 5" });
    expect(byLabel).toHaveLength(10);
    expect(looksByLabel).toBe(10);
    expect(await looked({ [CKA.CLASS]: CKO.PRIVATE_KEY })).toEqual([[], 0]);
    await one.C_CloseSession(session);
  });

  test("the index finds what a look at every object finds, whatever was made, changed and destroyed before", async () => {
    const id = fc.uint8Array({ maxLength: 1 });
    const label = fc.constantFrom("", "a", "b");
    const template = fc.oneof(
      fc.record({ [CKA.CLASS]: fc.constant(CKO.DATA), [CKA.LABEL]: label, [CKA.APPLICATION]: label, [CKA.VALUE]: id }),
      fc.record({
        [CKA.CLASS]: fc.constant(CKO.SECRET_KEY),
        [CKA.KEY_TYPE]: fc.constant(CKK.GENERIC_SECRET),
        [CKA.VALUE]: fc.constant(utf8("value")),
        [CKA.LABEL]: label,
        [CKA.ID]: id,
        [CKA.PRIVATE]: fc.boolean(),
      }),
    );
    const step = fc.oneof(
      template.map((make) => ({ make })),
      fc.nat(20).map((destroy) => ({ destroy })),
      fc.record({ change: fc.nat(20), label }),
    );
    const wanted = fc
      .record(
        {
          [CKA.CLASS]: fc.constantFrom(CKO.DATA, CKO.SECRET_KEY),
          [CKA.LABEL]: label,
          [CKA.ID]: id,
          [CKA.APPLICATION]: label,
          [CKA.PRIVATE]: fc.boolean(),
        },
        { requiredKeys: [] },
      )
      .map((template) => ({ ...template, [CKA.TOKEN]: false }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.array(wanted, { maxLength: 5 }),
        async (steps, searches) => {
          await using made = await writableRig();
          const { one } = made;
          const session = await made.session();
          await one.C_Login(session, CKU.USER, PIN);
          const objects: number[] = [];
          for (const each of steps) {
            if ("make" in each) objects.push(await one.C_CreateObject(session, each.make));
            else if ("destroy" in each) {
              const [gone] = objects.splice(each.destroy, 1);
              if (gone !== undefined) await one.C_DestroyObject(session, gone);
            } else {
              const object = objects[each.change];
              if (object !== undefined) await one.C_SetAttributeValue(session, object, { [CKA.LABEL]: each.label });
            }
          }
          for (const search of searches) {
            const expected: number[] = [];
            for (const object of objects) {
              let matches = true;
              for (const [type, value] of Object.entries(search)) {
                const values: Template = await one
                  .C_GetAttributeValue(session, object, [Number(type)])
                  .catch(() => ({}));
                matches &&= JSON.stringify(Object.values(values)[0]) === JSON.stringify(value);
              }
              if (matches) expected.push(object);
            }
            expect((await find(one, session, search)).sort()).toEqual(expected.sort());
          }
        },
      ),
      { numRuns: shareOf(40) },
    );
  });
});

test("what was destroyed since a search began is not found by it: its key would be nothing but zeros", async () => {
  await using made = await writableRig();
  const { one } = made;
  const session = await made.session();
  const template = {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
    [CKA.VALUE]: utf8("value"),
    [CKA.LABEL]: "short",
  };
  const stays = await one.C_CreateObject(session, template);
  const goes = await one.C_CreateObject(session, template);
  const other = await made.session();
  await one.C_CreateObject(other, template);
  await one.C_FindObjectsInit(session, { [CKA.LABEL]: "short" });
  await one.C_DestroyObject(session, goes);
  await one.C_CloseSession(other);
  expect(await one.C_FindObjects(session)).toEqual([stays]);
  await expect(one.C_SignInit(session, { mechanism: CKM.SHA256_HMAC }, goes)).rejects.toMatchObject(
    refusal("KEY_HANDLE_INVALID"),
  );
});

test("no copy of a key stays behind when its object is changed, measured, or copied in vain", async () => {
  await using made = await writableRig();
  const { one } = made;
  const session = await made.session();
  const value = utf8("the value of a key");
  const key = await one.C_CreateObject(session, {
    [CKA.CLASS]: CKO.SECRET_KEY,
    [CKA.KEY_TYPE]: CKK.GENERIC_SECRET,
    [CKA.VALUE]: value,
  });
  const copies = await copiesIn(async () => {
    await one.C_SetAttributeValue(session, key, { [CKA.LABEL]: "another" });
    await one.C_GetObjectSize(session, key);
    await expect(one.C_CopyObject(session, key, { [CKA.CLASS]: CKO.DATA })).rejects.toMatchObject(
      refusal("ATTRIBUTE_READ_ONLY"),
    );
  });
  expect(copies.length).toBeGreaterThan(0);
  expect(copies).not.toContainEqual(value);
});
