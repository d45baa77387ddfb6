import { Test, type TestingModule } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { InspectionConfig, InspectionExtensions, InspectionModule } from '#libs/inspection';
import { ConfigurationModule, configured, HealthModule } from '#libs/runtime';
import { LIMITS } from './readers.harness.js';

/** Starts the module with one real child process, which reads files in `spoolFolder`, a folder of mode 0711. */
export async function startInspection(
  spoolFolder: string,
  changes: Partial<InspectionConfig> = {},
  extensions = new InspectionExtensions(),
): Promise<TestingModule> {
  const inspection = configured(InspectionConfig, {
    ...LIMITS,
    processes: 1,
    seconds: 20,
    memoryBytes: 512 * 2 ** 20,
    spoolFolder,
    ...changes,
  });
  const module = await Test.createTestingModule({
    imports: [
      ConfigurationModule.forRoot({ inspection, extensions }),
      LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
      HealthModule.forRoot(),
      InspectionModule,
    ],
  }).compile();
  return module.init();
}
