import { toBase64Url, utf8, wipe } from "../../bytes/index.ts";
import type { App } from "../app.ts";
import { type Call, type Service, tokenJson } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import type { ServedToken } from "../directory.ts";
import { pageOf } from "../page.ts";
import {
  ChangePinBody,
  InitializeBody,
  listOf,
  LoginBody,
  PageQuery,
  PinSchema,
  RandomBody,
  RandomSchema,
  ResetBody,
  TokenParameters,
  TokenSchema,
  UnblockBody,
} from "../schemas.ts";

/** Tokens: what is in, their PINs, and making them new. */
export function addTokens(app: App, service: Service): void {
  app.get(
    "/v1/tokens",
    {
      schema: {
        ...described("listTokens", "The tokens that are in a reader", "view"),
        querystring: PageQuery,
        response: answers(listOf(TokenSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async ({ client, signal }) => {
        const seen = (await service.directory.tokens({ signal })).filter(({ info }) => client.may("view", info));
        return { body: { items: pageOf(seen, ({ name }) => name, request, reply).map(tokenJson) } };
      }),
  );

  app.get(
    "/v1/tokens/:token",
    {
      schema: {
        ...described("getToken", "One token", "view"),
        params: TokenParameters,
        response: answers(TokenSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => ({
        body: tokenJson(await service.token(call, request.params.token, "view")),
      })),
  );

  app.post(
    "/v1/tokens/:token/random",
    {
      schema: {
        ...described("random", "Random bytes from the token", "use"),
        params: TokenParameters,
        body: RandomBody,
        response: answers(RandomSchema),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "random", token }, "secret", async (call) => {
        const served = await service.token(call, token, "use");
        return {
          body: { random: toBase64Url(await served.token.random(request.body.length, { signal: call.signal })) },
        };
      });
    },
  );

  addPins(app, service);
  addRenewal(app, service);
}

function addPins(app: App, service: Service): void {
  app.get(
    "/v1/tokens/:token/pin",
    {
      schema: {
        ...described("getPin", "How the user's PIN stands; no try is spent", "view"),
        params: TokenParameters,
        response: answers(PinSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const { token } = await service.token(call, request.params.token, "view");
        return { body: await token.pinState({ signal: call.signal }) };
      }),
  );

  /** A PIN operation is never repeated; what it did, the PIN's state tells. */
  const onPin = (
    call: Call,
    name: string,
    carriesPin: boolean,
    work: (served: ServedToken) => Promise<void>,
  ): Promise<{ readonly status: number }> =>
    (async () => {
      const served = await service.token(call, name, "manage");
      if (carriesPin) call.client.requirePins();
      try {
        await work(served);
      } finally {
        service.events.emit("pin.changed", served.name, served.info);
      }
      return { status: 204 };
    })();

  app.post(
    "/v1/tokens/:token/pin/login",
    {
      schema: {
        ...described("login", "Log the user in, also after a wrong PIN", "manage"),
        params: TokenParameters,
        body: LoginBody,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      const { pin } = request.body;
      return service.perform(request, reply, { operation: "login", token }, "secret", (call) =>
        onPin(call, token, pin !== undefined, (served) => served.token.login(pin, { signal: call.signal })),
      );
    },
  );

  app.post(
    "/v1/tokens/:token/pin/change",
    {
      schema: {
        ...described("changePin", "Change the user's PIN", "manage"),
        params: TokenParameters,
        body: ChangePinBody,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "change-pin", token }, "secret", (call) =>
        onPin(call, token, true, (served) => served.token.changePin(request.body, { signal: call.signal })),
      );
    },
  );

  app.post(
    "/v1/tokens/:token/pin/unblock",
    {
      schema: {
        ...described("unblockPin", "Unblock the user's PIN with the PUK, and set it", "manage"),
        params: TokenParameters,
        body: UnblockBody,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "unblock-pin", token }, "secret", (call) =>
        onPin(call, token, true, (served) => served.token.unblockPin(request.body, { signal: call.signal })),
      );
    },
  );
}

function addRenewal(app: App, service: Service): void {
  app.post(
    "/v1/tokens/:token/initialize",
    {
      schema: {
        ...described("initialize", "Make the token new, with a label and PINs: its objects are deleted", "admin"),
        params: TokenParameters,
        body: InitializeBody,
        response: answers(TokenSchema),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "initialize", token }, "secret", async (call) => {
        const { label, officerPin, userPin } = request.body;
        const served = await service.token(call, token, "admin");
        if (officerPin !== undefined || userPin !== undefined) call.client.requirePins();
        const officer = officerPin === undefined ? await service.secrets.officerPin(served.info) : utf8(officerPin);
        try {
          await served.token.initialize(
            { label, officerPin: officer, ...(userPin !== undefined && { userPin }) },
            { signal: call.signal },
          );
        } finally {
          wipe(officer);
        }
        return { body: tokenJson(await renewed(service, served, call)) };
      });
    },
  );

  app.post(
    "/v1/tokens/:token/reset",
    {
      schema: {
        ...described("reset", "Make the card as its maker delivered it: keys, certificates and PINs are gone", "admin"),
        params: TokenParameters,
        body: ResetBody,
        response: answers(TokenSchema),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "reset", token }, "secret", async (call) => {
        const served = await service.token(call, token, "admin");
        await served.token.reset(request.body, { signal: call.signal });
        return { body: tokenJson(await renewed(service, served, call)) };
      });
    },
  );
}

/** The token that is in the same slot now: with its label its name has changed. */
async function renewed(service: Service, old: ServedToken, { signal }: Call): Promise<ServedToken> {
  const tokens = await service.directory.tokens({ signal });
  const found = tokens.find(({ info }) => info.slot === old.info.slot) ?? old;
  service.changed("token.inserted", found, { initial: false });
  return found;
}
