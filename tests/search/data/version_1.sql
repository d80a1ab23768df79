-- A study of version 1, as the ponas of that version left it: killed in its third phase.
BEGIN TRANSACTION;
CREATE TABLE curve (
    trial INTEGER NOT NULL REFERENCES trial, stage TEXT NOT NULL, step INTEGER NOT NULL,
    value REAL, PRIMARY KEY (trial, stage, step)
) STRICT, WITHOUT ROWID;
INSERT INTO "curve" VALUES(0,'finetune',50,0.01);
INSERT INTO "curve" VALUES(0,'search',10,0.1);
INSERT INTO "curve" VALUES(0,'search',20,0.05);
INSERT INTO "curve" VALUES(6,'search',10,0.1);
INSERT INTO "curve" VALUES(6,'search',20,0.05);
INSERT INTO "curve" VALUES(7,'finetune',50,0.01);
INSERT INTO "curve" VALUES(7,'search',10,0.1);
INSERT INTO "curve" VALUES(7,'search',20,0.05);
INSERT INTO "curve" VALUES(9,'search',10,0.1);
INSERT INTO "curve" VALUES(9,'search',20,0.05);
INSERT INTO "curve" VALUES(10,'search',10,0.1);
INSERT INTO "curve" VALUES(10,'search',20,0.05);
INSERT INTO "curve" VALUES(11,'finetune',50,0.01);
INSERT INTO "curve" VALUES(11,'search',10,0.1);
INSERT INTO "curve" VALUES(11,'search',20,0.05);
INSERT INTO "curve" VALUES(12,'finetune',50,0.01);
INSERT INTO "curve" VALUES(12,'search',10,0.1);
INSERT INTO "curve" VALUES(12,'search',20,0.05);
INSERT INTO "curve" VALUES(13,'search',10,0.1);
INSERT INTO "curve" VALUES(13,'search',20,0.05);
INSERT INTO "curve" VALUES(14,'finetune',50,0.01);
INSERT INTO "curve" VALUES(14,'search',10,0.1);
INSERT INTO "curve" VALUES(14,'search',20,0.05);
INSERT INTO "curve" VALUES(15,'finetune',50,0.01);
INSERT INTO "curve" VALUES(15,'search',10,0.1);
INSERT INTO "curve" VALUES(15,'search',20,0.05);
INSERT INTO "curve" VALUES(16,'search',10,0.1);
CREATE TABLE finetuned (
    trial INTEGER PRIMARY KEY REFERENCES trial,
    state TEXT NOT NULL CHECK (state IN ('finished', 'failed')),
    "values" TEXT NOT NULL, finished TEXT NOT NULL, host TEXT NOT NULL,
    error TEXT, traceback TEXT
) STRICT;
INSERT INTO "finetuned" VALUES(0,'finished','{"error": 0.5}','2026-11-25T16:02:56.053+00:00','board',NULL,NULL);
INSERT INTO "finetuned" VALUES(6,'failed','{}','2026-11-25T16:02:56.046+00:00','board','OSError: the data has gone','Traceback (most recent call last):
  File "/somewhere/v1/search/algorithm.py", line 150, in finetune
    for name, value in finetune(trial.parameters, context).items()
                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/make_v1.py", line 23, in finetune
    if c["kernel"] == 1: raise OSError("the data has gone")
                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
OSError: the data has gone
');
INSERT INTO "finetuned" VALUES(7,'finished','{"error": 0.5}','2026-11-25T16:02:56.049+00:00','board',NULL,NULL);
INSERT INTO "finetuned" VALUES(11,'finished','{"error": 0.5}','2026-11-25T16:02:56.051+00:00','board',NULL,NULL);
INSERT INTO "finetuned" VALUES(12,'finished','{"error": 0.5}','2026-11-25T16:02:56.052+00:00','board',NULL,NULL);
INSERT INTO "finetuned" VALUES(14,'finished','{"error": 0.5}','2026-11-25T16:02:56.048+00:00','board',NULL,NULL);
INSERT INTO "finetuned" VALUES(15,'finished','{"error": 0.5}','2026-11-25T16:02:56.050+00:00','board',NULL,NULL);
CREATE TABLE frozen (
    position INTEGER PRIMARY KEY, phase INTEGER NOT NULL REFERENCES phase,
    parameter TEXT NOT NULL UNIQUE, value TEXT NOT NULL,
    count INTEGER NOT NULL, front INTEGER NOT NULL, runner_up INTEGER NOT NULL
) STRICT;
INSERT INTO "frozen" VALUES(1,0,'pool','"max"',4,5,1);
INSERT INTO "frozen" VALUES(2,1,'kernel','5',3,7,2);
CREATE TABLE objective (
    position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL,
    needs_training INTEGER NOT NULL, origin TEXT NOT NULL, direction TEXT NOT NULL,
    upper_bound REAL
) STRICT;
INSERT INTO "objective" VALUES(0,'cost','ms',0,'profile host-cpu 1234','minimize',3.6);
INSERT INTO "objective" VALUES(1,'error','%',1,'','minimize',NULL);
CREATE TABLE phase (
    number INTEGER PRIMARY KEY, planned INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT
) STRICT;
INSERT INTO "phase" VALUES(0,8,'2026-11-25T16:02:55.678+00:00','2026-11-25T16:02:55.896+00:00');
INSERT INTO "phase" VALUES(1,5,'2026-11-25T16:02:55.897+00:00','2026-11-25T16:02:56.044+00:00');
INSERT INTO "phase" VALUES(2,5,'2026-11-25T16:02:56.056+00:00',NULL);
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "study" VALUES('space','{"parameters": [{"kind": "integer", "name": "kernel", "low": 1, "high": 9, "step": 2}, {"kind": "integer", "name": "filters", "low": 10, "high": 60, "step": 10}, {"kind": "choice", "name": "pool", "options": ["max", "mean"]}], "frozen": {}}');
INSERT INTO "study" VALUES('settings','{"seed": 5, "initial_trials": 8, "refine_trials": 5, "startup_trials": 3, "freeze_per_phase": 1, "max_phases": 2, "max_trials": null, "minutes": null, "finetune_minutes": null, "budgets": [{"iterations": 20}], "finetune_budget": {}}');
INSERT INTO "study" VALUES('start','{"kernel": 9, "filters": 40, "pool": "max"}');
INSERT INTO "study" VALUES('metadata','{"data": {"digest": "ab12"}}');
INSERT INTO "study" VALUES('elapsed_s','0.36764000400035');
INSERT INTO "study" VALUES('annotation:test','{"0": 1.5}');
CREATE TABLE trial (
    number INTEGER PRIMARY KEY, phase INTEGER NOT NULL REFERENCES phase,
    candidate TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'infeasible', 'failed')),
    seed INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT, host TEXT NOT NULL,
    error TEXT, traceback TEXT
) STRICT;
INSERT INTO "trial" VALUES(0,0,'{"filters":40,"kernel":9,"pool":"max"}','finished',16823399,'2026-11-25T16:02:55.679+00:00','2026-11-25T16:02:55.681+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(1,0,'{"filters":60,"kernel":9,"pool":"max"}','infeasible',3796490668,'2026-11-25T16:02:55.683+00:00','2026-11-25T16:02:55.683+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(2,0,'{"filters":50,"kernel":7,"pool":"max"}','failed',3226123765,'2026-11-25T16:02:55.685+00:00','2026-11-25T16:02:55.686+00:00','board','ValueError: loss is not a number at step 20','Traceback (most recent call last):
  File "/somewhere/v1/search/evaluation.py", line 46, in evaluate
    values[objective.name] = _number(objective, parameters, context)
                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/v1/search/evaluation.py", line 73, in _number
    value = float(objective.evaluate(parameters, context))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/make_v1.py", line 19, in error
    if c["kernel"] == 7 : raise ValueError("loss is not a number at step 20")
                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: loss is not a number at step 20
');
INSERT INTO "trial" VALUES(3,0,'{"filters":50,"kernel":9,"pool":"max"}','infeasible',727168946,'2026-11-25T16:02:55.695+00:00','2026-11-25T16:02:55.697+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(4,0,'{"filters":50,"kernel":9,"pool":"mean"}','infeasible',278233753,'2026-11-25T16:02:55.724+00:00','2026-11-25T16:02:55.725+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(5,0,'{"filters":20,"kernel":7,"pool":"max"}','failed',1608096988,'2026-11-25T16:02:55.754+00:00','2026-11-25T16:02:55.755+00:00','board','ValueError: loss is not a number at step 20','Traceback (most recent call last):
  File "/somewhere/v1/search/evaluation.py", line 46, in evaluate
    values[objective.name] = _number(objective, parameters, context)
                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/v1/search/evaluation.py", line 73, in _number
    value = float(objective.evaluate(parameters, context))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/make_v1.py", line 19, in error
    if c["kernel"] == 7 : raise ValueError("loss is not a number at step 20")
                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: loss is not a number at step 20
');
INSERT INTO "trial" VALUES(6,0,'{"filters":10,"kernel":1,"pool":"max"}','finished',1827940263,'2026-11-25T16:02:55.784+00:00','2026-11-25T16:02:55.786+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(7,0,'{"filters":30,"kernel":5,"pool":"mean"}','finished',2524741263,'2026-11-25T16:02:55.816+00:00','2026-11-25T16:02:55.818+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(8,0,'{"filters":30,"kernel":7,"pool":"mean"}','failed',881582233,'2026-11-25T16:02:55.850+00:00','2026-11-25T16:02:55.852+00:00','board','ValueError: loss is not a number at step 20','Traceback (most recent call last):
  File "/somewhere/v1/search/evaluation.py", line 46, in evaluate
    values[objective.name] = _number(objective, parameters, context)
                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/v1/search/evaluation.py", line 73, in _number
    value = float(objective.evaluate(parameters, context))
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/somewhere/make_v1.py", line 19, in error
    if c["kernel"] == 7 : raise ValueError("loss is not a number at step 20")
                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: loss is not a number at step 20
');
INSERT INTO "trial" VALUES(9,0,'{"filters":50,"kernel":1,"pool":"max"}','finished',1615781351,'2026-11-25T16:02:55.884+00:00','2026-11-25T16:02:55.885+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(10,0,'{"filters":60,"kernel":1,"pool":"max"}','finished',1117149863,'2026-11-25T16:02:55.892+00:00','2026-11-25T16:02:55.893+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(11,1,'{"filters":40,"kernel":5,"pool":"max"}','finished',772704146,'2026-11-25T16:02:55.927+00:00','2026-11-25T16:02:55.929+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(12,1,'{"filters":60,"kernel":5,"pool":"max"}','finished',3151604870,'2026-11-25T16:02:55.962+00:00','2026-11-25T16:02:55.964+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(13,1,'{"filters":40,"kernel":1,"pool":"max"}','finished',4256408884,'2026-11-25T16:02:55.970+00:00','2026-11-25T16:02:55.972+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(14,1,'{"filters":10,"kernel":3,"pool":"max"}','finished',791663113,'2026-11-25T16:02:56.004+00:00','2026-11-25T16:02:56.006+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(15,1,'{"filters":60,"kernel":3,"pool":"max"}','finished',568205030,'2026-11-25T16:02:56.040+00:00','2026-11-25T16:02:56.042+00:00','board',NULL,NULL);
INSERT INTO "trial" VALUES(16,2,'{"filters":10,"kernel":5,"pool":"max"}','running',77,'2026-11-25T16:02:56.057+00:00',NULL,'board',NULL,NULL);
CREATE TABLE value (
    trial INTEGER NOT NULL REFERENCES trial, objective TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (trial, objective)
) STRICT, WITHOUT ROWID;
INSERT INTO "value" VALUES(0,'cost',3.6);
INSERT INTO "value" VALUES(0,'error',3.49);
INSERT INTO "value" VALUES(1,'cost',5.4);
INSERT INTO "value" VALUES(2,'cost',3.5);
INSERT INTO "value" VALUES(3,'cost',4.5);
INSERT INTO "value" VALUES(4,'cost',4.5);
INSERT INTO "value" VALUES(5,'cost',1.4);
INSERT INTO "value" VALUES(6,'cost',0.1);
INSERT INTO "value" VALUES(6,'error',15.63);
INSERT INTO "value" VALUES(7,'cost',1.5);
INSERT INTO "value" VALUES(7,'error',4.43);
INSERT INTO "value" VALUES(8,'cost',2.1);
INSERT INTO "value" VALUES(9,'cost',0.5);
INSERT INTO "value" VALUES(9,'error',1.07099999999999990758e+01);
INSERT INTO "value" VALUES(10,'cost',0.6);
INSERT INTO "value" VALUES(10,'error',10.63);
INSERT INTO "value" VALUES(11,'cost',2.0);
INSERT INTO "value" VALUES(11,'error',3.76);
INSERT INTO "value" VALUES(12,'cost',3.0);
INSERT INTO "value" VALUES(12,'error',3.5);
INSERT INTO "value" VALUES(13,'cost',0.4);
INSERT INTO "value" VALUES(13,'error',11.34);
INSERT INTO "value" VALUES(14,'cost',0.3);
INSERT INTO "value" VALUES(14,'error',9.13);
INSERT INTO "value" VALUES(15,'cost',1.8);
INSERT INTO "value" VALUES(15,'error',4.3);
PRAGMA application_id = 1347374675;
PRAGMA user_version = 1;
COMMIT;
