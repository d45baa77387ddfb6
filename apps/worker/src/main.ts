import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { PinoLogger } from 'nestjs-pino';
import { NestLogger, serve } from '#libs/runtime';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';

const DRAIN_MS = 9_000;

async function start(): Promise<INestApplicationContext> {
  const config = readConfig(process.env);
  const app = await NestFactory.createApplicationContext(AppModule.forRoot(config), {
    bufferLogs: true,
    abortOnError: false,
  });
  app.useLogger(new NestLogger(await app.resolve(PinoLogger), {}));
  return app;
}

await serve(start, DRAIN_MS);
