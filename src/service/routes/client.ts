import type { App } from "../app.ts";
import type { Service } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import { ClientSchema } from "../schemas.ts";

/** The address at which clients ask who they are. Those without credentials may. */
export const CLIENT_ADDRESS = "/v1/client";

/** What the service offers beside the tokens. */
interface Offers {
  readonly trace: boolean;
  readonly practiceCard: boolean;
}

/** The client itself: a page shows only what its client may do. */
export function addClient(app: App, service: Service, { trace, practiceCard }: Offers): void {
  app.get(
    CLIENT_ADDRESS,
    {
      schema: {
        ...described(
          "getClient",
          "The client of this request, and what it may do; 204 for one without credentials",
          "view",
        ),
        response: answers(ClientSchema),
      },
    },
    (request, reply) => {
      // A page asks here whether it has to ask for a bearer token: that is no error.
      if (request.headers.authorization === undefined && !service.isKnown(request)) return reply.code(204).send();
      return service.read(request, reply, ({ client }) => {
        const { name, roles, mayCarryPins } = client;
        const isAdmin = client.mayEverywhere("admin");
        const may = { trace: trace && isAdmin, practiceCard: practiceCard && isAdmin };
        return Promise.resolve({ body: { name, roles, pinsInRequests: mayCarryPins, ...may } });
      });
    },
  );
}
