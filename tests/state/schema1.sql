BEGIN TRANSACTION;
CREATE TABLE aside (
	id INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	text_hash VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	first_seen FLOAT NOT NULL, 
	times INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (project, text_hash, reason)
);
CREATE TABLE asked (
	request_id INTEGER NOT NULL, 
	series_id INTEGER NOT NULL, 
	PRIMARY KEY (request_id, series_id), 
	FOREIGN KEY(request_id) REFERENCES request (id), 
	FOREIGN KEY(series_id) REFERENCES series (id)
);
INSERT INTO "asked" VALUES(1,1);
INSERT INTO "asked" VALUES(1,2);
INSERT INTO "asked" VALUES(2,3);
CREATE TABLE cursor (
	project VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	PRIMARY KEY (project)
);
INSERT INTO "cursor" VALUES('/key',X'01E28BE03FCB56C1995A193D31B6B613E962730679C8329FEFC510F4652EEF5653ACFE10E47FDFD667D5C611240E474192A1302034406393F78CF735');
CREATE TABLE history (
	id INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	request_id INTEGER, 
	series_id INTEGER, 
	event VARCHAR NOT NULL, 
	"before" VARCHAR NOT NULL, 
	"after" VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(request_id) REFERENCES request (id), 
	FOREIGN KEY(series_id) REFERENCES series (id)
);
INSERT INTO "history" VALUES(1,100.0,1,NULL,'asked','','new','');
INSERT INTO "history" VALUES(2,100.0,2,NULL,'asked','','new','');
INSERT INTO "history" VALUES(3,100.0,NULL,1,'found','','planned','');
INSERT INTO "history" VALUES(4,100.0,NULL,2,'found','','planned','');
INSERT INTO "history" VALUES(5,100.0,1,NULL,'planned','new','planned','');
INSERT INTO "history" VALUES(6,101.0,NULL,3,'found','','planned','');
INSERT INTO "history" VALUES(7,101.0,2,NULL,'planned','new','planned','');
INSERT INTO "history" VALUES(8,110.0,NULL,1,'retrieved','planned','retrieved','');
INSERT INTO "history" VALUES(9,111.0,NULL,2,'failed','planned','failed','pixels.burned-in');
INSERT INTO "history" VALUES(10,113.0,NULL,1,'delivered','retrieved','delivered','');
INSERT INTO "history" VALUES(11,113.0,NULL,1,'confirmed','delivered','confirmed','');
INSERT INTO "history" VALUES(12,113.0,1,NULL,'failed','planned','failed','series.failed');
CREATE TABLE request (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	accession_hash VARCHAR NOT NULL, 
	sealed BLOB, 
	modality VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	empties INTEGER NOT NULL, 
	not_before FLOAT, 
	claimed_by VARCHAR, 
	lease_until FLOAT NOT NULL, 
	created FLOAT NOT NULL, 
	updated FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (project, accession_hash), 
	UNIQUE ("key")
);
INSERT INTO "request" VALUES(1,'R-J66MDF4HWBW6C','chest','f61b9a580c6bd4d972a8eb0e6b819911',X'01819C8F90D850ED3C8959CD2274A9BE13B844B8A109D57F433FB62DF7BBED975E34E56085E4A4573A9A076ABF97C57324DD4556F4DFEA80F4BA2AC0836513C528DF612D921AED59BDBE21B1AC2E4F891ED405D16DAC037CC47AE476535B128427900100','','failed','series.failed',0,0,100.0,NULL,0.0,100.0,113.0);
INSERT INTO "request" VALUES(2,'R-SCLGUFK4MBNAE','chest','06e3c435145a41ff74bbc792eca50af3',X'017A186455267B78069024D4D39D0F530AA3D6A53708DBC7BA9361B9AB5240B223BC9BB9E0DE5F9FF13E61BF6BBD5FC18091BF38B91D46858D8C687711F65A9D095A900F4196F32BBC9687DB8C2E709D327B7DF90D6438856E8CA6127785310E7AD63BA4','','planned','',0,0,100.0,NULL,0.0,100.0,101.0);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1);
CREATE TABLE series (
	id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	series_hash VARCHAR NOT NULL, 
	study_hash VARCHAR NOT NULL, 
	sealed BLOB, 
	pacs VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	not_before FLOAT NOT NULL, 
	claimed_by VARCHAR, 
	lease_until FLOAT NOT NULL, 
	expected INTEGER, 
	kept INTEGER NOT NULL, 
	excluded INTEGER NOT NULL, 
	refused INTEGER NOT NULL, 
	reasons VARCHAR NOT NULL, 
	created FLOAT NOT NULL, 
	updated FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (project, series_hash), 
	UNIQUE ("key")
);
INSERT INTO "series" VALUES(1,'S-LFHPIP6HBFY2M','chest','f6282871a174d93855fbc64dfcd5e7ea','4239fcfb30ce3cce8b6a7658aadf99a8',NULL,'main','CT','confirmed','',0,0.0,NULL,0.0,3,3,0,0,'{}',100.0,113.0);
INSERT INTO "series" VALUES(2,'S-2MGOIKROHWATW','chest','7e110d99e3a2b9d61542eb413c4f5926','4239fcfb30ce3cce8b6a7658aadf99a8',X'012D05D712F73D43F864C3072C1D18D315DED0C119DE97539923FF65E3BDB97604F72A4A5DEA168CC9C7D836FCEC8C730F7D2C46C02565165FB8F60ADC955A72394D89B2','main','CT','failed','pixels.burned-in',0,0.0,NULL,0.0,3,0,0,3,'{"pixels.burned-in": 3}',100.0,111.0);
INSERT INTO "series" VALUES(3,'S-QFKMCNDXN3DCA','chest','ae0184ee70a4bb792337f798ca88077b','ead6cfd92df72b4e34385bf1857fd454',X'016DD49E1780A5CF558B2A406812737E253B89415AD87C2CF8C82566593E260FF33DAA11E6438D3C2BD6C254461DA336E5505DEBAD5753D14654974BD71356157C3BB868','main','CT','planned','',0,101.0,NULL,0.0,3,0,0,0,'{}',101.0,101.0);
CREATE INDEX request_work ON request (project, state, not_before);
CREATE INDEX ix_request_accession_hash ON request (accession_hash);
CREATE INDEX ix_series_series_hash ON series (series_hash);
CREATE INDEX series_work ON series (state, pacs, not_before);
CREATE INDEX ix_series_study_hash ON series (study_hash);
CREATE INDEX ix_aside_text_hash ON aside (text_hash);
CREATE INDEX ix_asked_series_id ON asked (series_id);
CREATE INDEX ix_history_request_id ON history (request_id);
CREATE INDEX ix_history_series_id ON history (series_id);
COMMIT;
