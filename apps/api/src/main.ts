import 'reflect-metadata';
import { serve, type Service } from '#libs/runtime';
import { createApi } from './api.js';
import { readConfig } from './config.js';

const DRAIN_MS = 9_000;
/** When stopping, what is not answered by then is cut off. */
const LAST_ANSWERS_MS = 5_000;

async function start(): Promise<Service> {
  const config = readConfig(process.env);
  const app = await createApi(config);
  await app.listen(config.PORT, config.HOST);
  return {
    close: async () => {
      const cut = setTimeout(() => app.getHttpServer().closeAllConnections(), LAST_ANSWERS_MS);
      await app.close();
      clearTimeout(cut);
    },
  };
}

await serve(start, DRAIN_MS);
