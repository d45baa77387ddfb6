import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { ConfigurationModule, configured, HealthModule } from '#libs/runtime';
import { InspectionExtensions } from './extensions.js';
import { InspectionConfig } from './inspection.config.js';
import { InspectionModule } from './inspection.module.js';
import { RootRefused } from './isolation.js';

const isSkipped = process.getuid?.() !== 0;
if (isSkipped) process.stdout.write('skipped: inspection startup as root (run as root)\n');

/** Real: module startup, file permissions. */
(isSkipped ? it.skip : it)(
  'refuses to start as root when no other user can read the spool folder',
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'spool-'));
    const spoolFolder = path.join(folder, 'closed');
    mkdirSync(spoolFolder, { mode: 0o700 });
    const inspection = configured(InspectionConfig, { processes: 1, spoolFolder, ffprobe: null });
    const module = await Test.createTestingModule({
      imports: [
        ConfigurationModule.forRoot({ inspection, extensions: new InspectionExtensions() }),
        LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
        HealthModule.forRoot(),
        InspectionModule,
      ],
    }).compile();
    try {
      await expect(module.init()).rejects.toThrow(RootRefused);
    } finally {
      await module.close();
      rmSync(folder, { recursive: true });
    }
  },
);
