import { fromBase64Url, toBase64Url } from "../../bytes/index.ts";
import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import { pageOf } from "../page.ts";
import { DataBody, DataObjectSchema, DataQuery, listOf, PageQuery, TokenParameters } from "../schemas.ts";
import { orAsOfficer } from "./keys.ts";

/** The data objects of a token. */
export function addData(app: App, service: Service): void {
  app.delete(
    "/v1/tokens/:token/data",
    {
      schema: {
        ...described("deleteData", "Delete the only data object with these names", "manage"),
        params: TokenParameters,
        querystring: DataQuery,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "delete-data", token }, "kept", async (call) => {
        const served = await service.token(call, token, "manage");
        await orAsOfficer(service, served, call, (one) => one.data.delete(request.query, { signal: call.signal }));
        return { status: 204 };
      });
    },
  );

  app.get(
    "/v1/tokens/:token/data",
    {
      schema: {
        ...described("listData", "The data objects of a token, without their values", "view"),
        params: TokenParameters,
        querystring: PageQuery,
        response: answers(listOf(DataObjectSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const { token } = await service.token(call, request.params.token, "view");
        const items: { label: string; application: string; objectId?: string }[] = [];
        for await (const { label, application, objectId } of token.data.find({}, { signal: call.signal }))
          items.push({ label, application, ...(objectId !== undefined && { objectId }) });
        const nameOf = (one: (typeof items)[number]): string => `${one.application} ${one.label} ${one.objectId ?? ""}`;
        return { body: { items: pageOf(items, nameOf, request, reply) } };
      }),
  );

  app.put(
    "/v1/tokens/:token/data",
    {
      schema: {
        ...described("putData", "Write a data object", "issue", { repeats: "required" }),
        params: TokenParameters,
        body: DataBody,
        response: answers(DataObjectSchema),
      },
    },
    (request, reply) => {
      const { token } = request.params;
      return service.perform(request, reply, { operation: "write-data", token }, "kept", async (call) => {
        const served = await service.token(call, token, "issue");
        const { value, ...place } = request.body;
        const content = fromBase64Url(value);
        const { label, application, objectId } = await orAsOfficer(service, served, call, (one) =>
          one.data.put(content, { ...place, signal: call.signal }),
        );
        return {
          body: { label, application, ...(objectId !== undefined && { objectId }), value: toBase64Url(content) },
        };
      });
    },
  );
}
