/*
 * Sidecars: what each kind says, in short samples of our own and (TOMOFS_DATA) in the real ones; names of raw files;
 * and every sample truncated, with bytes changed, as UTF-16 and with other line ends: never a crash, always an end.
 */

#include "fs/image/sidecar.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/image/text.h"
#include "store/err.h"
#include "store/io.h"
#include "tests/lib/check.h"

struct sample {
	const char *name, *text;
	const char *facts[14]; /* field, value, field, value ... */
	bool acquisition;
	uint64_t images;
	const char *data; /* name of the declared file, ".vol" for a suffix */
	uint64_t width, height, depth, offset;
	enum voxel_type type;
	bool big_endian;
};

static const struct sample samples[] = {
	{ "scan.pca",
	  "[General]\r\nVersion=2.4.0\r\nSystemName=v|tome|x m \xb5\x43T\r\n[Geometry]\r\nFDD=807.1\r\nFOD=41.5\r\n"
	  "VoxelSizeX=0.0103\r\nVoxelSizeY=0.0103\r\n[CT]\r\nNumberImages=1300\r\n[Detector]\r\nTimingVal=500.1\r\n"
	  "[Xray]\r\nVoltage=90\r\nCurrent=110\r\nFilter=Unknown\r\n",
	  { "voltage_kV", "90", "current_uA", "110", "exposure_ms", "500.1", "projections", "1300", "instrument",
	    "v|tome|x m \302\265CT", "voxel_size_um", "10.3,10.3,10.3", "source_object_mm", "41.5" },
	  true,
	  1300,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "scan.pcr",
	  "[VolumeData]\r\nVolume_SizeX=456\r\nVolume_SizeY=531\r\nVolume_SizeZ=1951\r\nVoxelSizeRec=0.0125\r\n"
	  "Format=5\r\nVOL_File=S:\\CT\\Goetz, Freya\\scan.vol\r\n",
	  { "voxel_size_um", "12.5,12.5,12.5" },
	  false,
	  0,
	  "scan.vol",
	  456,
	  531,
	  1951,
	  0,
	  VOXEL_U16,
	  false },
	{ "scan.dtxml",
	  "<?xml version=\"1.0\"?><project><additional_project_info><property name=\"Operator\" type=\"5\" "
	  "value=\"Goetz, Freya\"/><property name=\"Department\" value=\"Zoo\"><option name=\"x\" "
	  "value=\"y\"/></property>"
	  "<property name=\"Sample ID\" value=\"usnm 1\"/></additional_project_info></project>",
	  { "operator", "Goetz, Freya", "sample", "usnm 1" },
	  false,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "lego.xtekct",
	  "[XTekCT]\nName=lego\nVoxelSizeX=0.02\nVoxelSizeY=0.02\nVoxelSizeZ=0.03\nSrcToObject=33.9\n"
	  "Projections=1570\nUnits=mm\n[Xrays]\nXraykV=90\nXrayuA=32\n[DICOM]\nDICOMTags=<?xml "
	  "encoding=\"utf-16\"?><a/>\n"
	  "[CTPro]\nFilter_ThicknessMM=0.5\nFilter_Material=Copper\n",
	  { "sample", "lego", "voltage_kV", "90", "current_uA", "32", "voxel_size_um", "30,20,20", "filter",
	    "0.5 mm Copper", "projections", "1570" },
	  true,
	  1570,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "_ctdata.txt",
	  "Projections\tFrames\tExposure(ms)\r\n1570\t1\t708.00\r\nProjection\tAngle(deg)\r\n1\t0.03\r\n",
	  { "exposure_ms", "708", "projections", "1570" },
	  false,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "lego.ctprofile.xml",
	  "<?xml version=\"1.0\"?><CTProfile><XraySettings><kV>90</kV><uA>32</uA></XraySettings>"
	  "<ImagingSettings exposure=\"708\" gain=\"3\"><transform>1</transform></ImagingSettings></CTProfile>",
	  { "voltage_kV", "90", "current_uA", "32", "exposure_ms", "708" },
	  false,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "bone_.log",
	  "[System]\nScanner=SkyScan1173\nInstrument S/N=18O\n[Acquisition]\nFilename Prefix=bone_\nNumber of Files= "
	  "1200\n"
	  "Source Voltage (kV)= 120\nSource Current (uA)=  60\nImage Pixel Size (um)=26.8\nExposure (ms)=   700\n"
	  "Filter=Al 1.0mm\nStudy Date and Time=Jul 20, 2023  11:26:30\n",
	  { "voltage_kV", "120", "voxel_size_um", "26.8,26.8,26.8", "start_time", "2023-07-20T11:26:30Z", "sample",
	    "bone_", "instrument", "SkyScan1173 18O", "filter", "Al 1.0mm", "projections", "1200" },
	  true,
	  1200,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "bone__rec.log",
	  "[System]\nScanner=SkyScan1272\n[User]\nUser Name=Ann\n[Acquisition]\nNumber Of Files=  471\n"
	  "Study Date and Time=14 Mar 2023  09h:00m:40s\n[Reconstruction]\nReconstruction Program=NRecon\n"
	  "Program Version=Version: 2.0\nSections Count=1428\nPixel Size (um)=19.5\nSection to Section Step=2\n",
	  { "start_time", "2023-03-14T09:00:40Z", "operator", "Ann", "software", "NRecon Version: 2.0", "voxel_size_um",
	    "39,19.5,19.5" },
	  false,
	  1428,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "vol.vgi",
	  "{volume1}\n[representation]\nsize = 5 6 7\ndatatype = unsigned integer\nbitsperelement = 16\n[file1]\n"
	  "SkipHeader = 12\nFileFormat = raw\nSize = 1374 1401 2000\nName = vol.vol\nDatatype = float\nBitsPerElement "
	  "= 32\n"
	  "[geometry]\nresolution = 0.1271 0.1271 0.2\nunit = mm\n[description]\ntext = a skull\n",
	  { "voxel_size_um", "200,127.1,127.1", "description", "a skull" },
	  false,
	  0,
	  "vol.vol",
	  1374,
	  1401,
	  2000,
	  12,
	  VOXEL_F32,
	  false },
	{ "head.mhd",
	  "ObjectType = Image\nNDims = 3\nBinaryDataByteOrderMSB = True\nElementSpacing = 0.5 0.5 2\nDimSize = 64 32 "
	  "16\n"
	  "HeaderSize = 8\nElementType = MET_SHORT\nElementDataFile = head.raw\n",
	  { "voxel_size_um", "2000,500,500" },
	  false,
	  0,
	  "head.raw",
	  64,
	  32,
	  16,
	  8,
	  VOXEL_I16,
	  true },
	{ "head.mha",
	  "NDims = 3\nDimSize = 4 2 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n12345678",
	  { NULL },
	  false,
	  0,
	  "head.mha",
	  4,
	  2,
	  1,
	  74,
	  VOXEL_U8,
	  false },
	{ "head.nhdr",
	  "NRRD0004\n# comment\ntype: unsigned short\ndimension: 3\nspace: left-posterior-superior\nsizes: 64 32 16\n"
	  "space directions: (0.5,0,0) (0,0.5,0) (0,0,2)\nendian: big\nencoding: raw\nbyte skip: 352\n"
	  "space units: \"mm\" \"mm\" \"mm\"\ndata file: ./head.raw\n",
	  { "voxel_size_um", "2000,500,500" },
	  false,
	  0,
	  "head.raw",
	  64,
	  32,
	  16,
	  352,
	  VOXEL_U16,
	  true },
	{ "rgb.nrrd",
	  "NRRD0005\ntype: uchar\ndimension: 4\nsizes: 3 2 2 1\nspacings: nan 1 1 3\nspace units: \"um\" \"um\" "
	  "\"um\"\n"
	  "encoding: raw\n\nabcdefghijkl",
	  { "voxel_size_um", "3,1,1" },
	  false,
	  0,
	  "rgb.nrrd",
	  2,
	  2,
	  1,
	  112,
	  VOXEL_U8,
	  false },
	{ "data settings XRE.txt",
	  "[Sample info]\r\nSample name = \"sweets\"\r\n[Scan info]\r\nOperator = \"Jay\"\r\nscanner type = \"UniTOM "
	  "XL\"\r\n"
	  "Start = \"2020-11-06 09:34:16.0944437 UTC\"\r\n[Tube settings]\r\nkV set value = 80.000000\r\n"
	  "[Camera settings]\r\nExposure time (ms) = 25.5\r\n[Acquisition settings]\r\ntotal projections = 1440\r\n"
	  "[CT-parameters IN]\r\nSOD = \"150\"\r\nVoxel size = \"0.075\"\r\n",
	  { "sample", "sweets", "operator", "Jay", "start_time", "2020-11-06T09:34:16Z", "voltage_kV", "80",
	    "exposure_ms", "25.5", "voxel_size_um", "75,75,75", "source_object_mm", "150" },
	  true,
	  1440,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "scan settings.txt",
	  "ScanID : 1\r\nProject : \r\nSTART\r\ndate: 11/6/2020; time: 9:34:16 PM\r\nVoxel size : 75.5\r\n"
	  "Sample name : sweets\r\nTube voltage : 80.0\r\nAcquila version : 2727\r\n",
	  { "start_time", "2020-11-06T21:34:16Z", "voxel_size_um", "75.5,75.5,75.5", "sample", "sweets", "voltage_kV",
	    "80" },
	  true,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "DataInfo.xml",
	  "<?xml version=\"1.0\"?>\r\n<CtAllInfo><SampleInfo><SampleName1>PB-AWC</SampleName1></SampleInfo><SeriesInfo>"
	  "<SeriesCreateDate>2023-07-20T09:35:15.864</SeriesCreateDate><KV>50</KV><UA>280</UA>"
	  "<VoxelSize>14.9</VoxelSize><XrayFilter>None</XrayFilter><TotalView>-1</TotalView></SeriesInfo></CtAllInfo>",
	  { "sample", "PB-AWC", "start_time", "2023-07-20T09:35:15Z", "voltage_kV", "50", "current_uA", "280",
	    "voxel_size_um", "14.9,14.9,14.9" },
	  true,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "part.nsipro",
	  "<NSI Reconstruction Project>\r\n  <Project Name>Part\r\n  <Volume>\r\n    <min>0 -1 0\r\n    <max>60 119 "
	  "30\r\n"
	  "    <resolution>600 1200 100\r\n  </Volume>\r\n  <CT Project Configuration>\r\n    <Number of "
	  "projections>1200\r\n"
	  "    <Technique Configuration>\r\n      <Source>\r\n        <kV>150\r\n        <uA>300\r\n      </Source>\r\n"
	  "      <Setup>\r\n        <fixturing>\r\n        <phys filter>0.040\" Cu\r\n      </Setup>\r\n"
	  "    </Technique Configuration>\r\n    <acquisition begin>6/5/2024 11:25:18 AM\r\n  </CT Project "
	  "Configuration>\r\n",
	  { "title", "Part", "voxel_size_um", "300,100,100", "projections", "1200", "voltage_kV", "150", "current_uA",
	    "300", "filter", "0.040\" Cu", "start_time", "2024-06-05T11:25:18Z" },
	  true,
	  1200,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
	{ "tooth.vol.info",
	  "! PyHST\nNUM_X =  2800\nNUM_Y =  2700\nNUM_Z =  2048\nBYTEORDER = HIGHBYTEFIRST\n",
	  { NULL },
	  false,
	  0,
	  "tooth.vol",
	  2800,
	  2700,
	  2048,
	  0,
	  VOXEL_F32,
	  true },
	{ "bone.raw.json",
	  "{\"shape\": [500, 1000, 900], \"dtype\": \">u2\", \"offset\": 16, \"voxel_size_um\": 5.2, \"sample\": "
	  "\"bone\", "
	  "\"voltage_kV\": 80}",
	  { "voxel_size_um", "5.2,5.2,5.2", "sample", "bone", "voltage_kV", "80" },
	  false,
	  0,
	  "bone.raw",
	  900,
	  1000,
	  500,
	  16,
	  VOXEL_U16,
	  true },
	{ "bone.json",
	  "{\"dtype\": \"float32\", \"shape\": [5, 6, 7], \"voxel_size_um\": [3, 2, 1]}",
	  { "voxel_size_um", "3,2,1" },
	  false,
	  0,
	  ".raw",
	  7,
	  6,
	  5,
	  0,
	  VOXEL_F32,
	  false },
	{ "record.json",
	  "{\"type\": \"raw\", \"datasetName\": \"S1\", \"creationTime\": \"2022-05-13T07:45:10.483Z\", "
	  "\"scientificMetadata\": "
	  "{\"detectorParameters\": {\"Exposure time\": {\"u\": \"ms\", \"v\": 2}, \"Actual pixel size\": {\"u\": "
	  "\"um\", \"v\": "
	  "2.75}}, \"scanParameters\": {\"Number of projections\": 2000}}}",
	  { "title", "S1", "exposure_ms", "2", "voxel_size_um", "2.75,2.75,2.75", "projections", "2000", "start_time",
	    "2022-05-13T07:45:10Z" },
	  true,
	  0,
	  NULL,
	  0,
	  0,
	  0,
	  0,
	  0,
	  false },
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static void check_facts(const char *name, const struct sidecar *s, const char *const *facts)
{
	for (size_t i = 0; i < 14 && facts[i]; i += 2) {
		const char *got = findings_get(&s->facts, facts[i]);

		if (!got || strcmp(got, facts[i + 1]) != 0) {
			fprintf(stderr, "%s: %s is %s, not %s\n", name, facts[i], got ? got : "missing", facts[i + 1]);
			CHECK(!"the expected fact");
		}
	}
}

static void test_sample(const struct sample *sample)
{
	struct sidecar s scope_sidecar = { 0 };
	size_t len = strlen(sample->text);
	int rc = sidecar_parse(sample->name, (const uint8_t *)sample->text, len, &s);

	if (rc < 0)
		fprintf(stderr, "%s: %s\n", sample->name, err_text());
	CHECK(rc == 0);
	CHECK(sidecar_wanted(sample->name, len));
	check_facts(sample->name, &s, sample->facts);
	CHECK(s.acquisition == sample->acquisition && s.images_declared == sample->images);
	CHECK(s.data_count == (sample->data != NULL));
	if (s.data_count == 1) {
		const struct geometry *g = &s.data[0].geo;
		const char *name = s.data[0].name ? s.data[0].name : s.data[0].suffix;

		if (strcmp(name, sample->data) != 0 || g->offset != sample->offset)
			fprintf(stderr, "%s: %s + %llu\n", sample->name, name, (unsigned long long)g->offset);
		CHECK(!strcmp(name, sample->data) && (s.data[0].name == NULL) == (*sample->data == '.'));
		CHECK(g->format == IMAGE_RAW && g->type == sample->type && g->offset == sample->offset);
		CHECK(g->width == sample->width && g->height == sample->height && g->depth == sample->depth);
		CHECK(g->big_endian == sample->big_endian && geometry_sane(g));
	}
}

/* The same text as UTF-16, which Windows programs write. */
static void test_utf16(const struct sample *sample)
{
	struct sidecar s scope_sidecar = { 0 };
	size_t len = strlen(sample->text);
	uint8_t *wide = malloc(2 * len + 2);

	wide[0] = 0xff;
	wide[1] = 0xfe;
	for (size_t i = 0; i < len; i++) {
		wide[2 + 2 * i] = (uint8_t)sample->text[i];
		wide[3 + 2 * i] = 0;
	}
	CHECK_RC(sidecar_parse(sample->name, wide, 2 * len + 2, &s));
	check_facts(sample->name, &s, sample->facts);
	free(wide);
}

/* Whatever comes out, it is sane, and it ends. */
static void parse_any(const char *name, const uint8_t *bytes, size_t len)
{
	struct sidecar s scope_sidecar = { 0 };
	uint8_t *exact = malloc(len ? len : 1); /* so that a sanitizer sees the end */
	int rc;

	if (len)
		memcpy(exact, bytes, len);
	rc = sidecar_parse(name, exact, len, &s);
	CHECK(rc == 0 || rc == -ENOENT || rc == -EBADMSG);
	if (rc < 0)
		CHECK(s.data_count == 0 && s.facts.count == 0 && *err_text());
	for (size_t i = 0; i < s.data_count; i++)
		CHECK(geometry_sane(&s.data[i].geo) && (s.data[i].name || s.data[i].suffix));
	for (size_t i = 0; i < s.facts.count; i++) {
		const struct finding *f = &s.facts.list[i];

		CHECK(*f->value && text_is_utf8((const uint8_t *)f->value, strlen(f->value)));
		CHECK(strlen(f->value) <= 4096 && strlen(f->vendor_text) <= 4096);
	}
	free(exact);
}

static uint32_t seed = 4711;

static uint32_t next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void test_damaged(const char *name, const uint8_t *bytes, size_t len, unsigned rounds)
{
	uint8_t *copy = malloc(len + 64);

	for (unsigned i = 0; i < rounds; i++)
		parse_any(name, bytes, len * i / rounds);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned flips = 1 + next_random() % 8;
		size_t n = len;

		memcpy(copy, bytes, len);
		for (unsigned f = 0; f < flips && n; f++)
			copy[next_random() % n] = (uint8_t)next_random();
		if (i % 3 == 0 && n > 16) { /* a digit becomes many */
			size_t at = next_random() % (n - 8);

			memset(copy + at, "9-1eE. \n"[next_random() % 8], 8);
		}
		parse_any(name, copy, n);
	}
	free(copy);
}

static void test_hostile(void)
{
	enum { LEN = 1 << 20 };
	static const char *const names[] = { "a.pca", "a.log",	"a.nsipro", "a.xml", "a.dtxml", "a.nhdr",
					     "a.mhd", "a.json", "a.txt",    "a.vgi", "a.info" };
	static const char *const heads[] = {
		"[General]\n",
		"[Acquisition]\nScanner=",
		"<NSI Reconstruction Project>\n",
		"<CtAllInfo>",
		"<project>",
		"NRRD0004\n",
		"DimSize = ",
		"{\"shape\": [1,2,3], \"dtype\": ",
		"[Scan info]\n[Tube settings]\n",
		"[file1]\n",
		"NUM_X NUM_Z",
	};
	static const char *const fills[] = { "[", "<a>", "<a", "a=b\n", "9",	     "(",
					     " ", "\n",	 "=",  "\"",	"<x y='z'>", "\r" };
	static const char entities[] =
	    "<!DOCTYPE a [<!ENTITY b \"x\"><!ENTITY c \"&b;&b;&b;\">]><CtAllInfo>&c;</CtAllInfo>";
	uint8_t *text = malloc(LEN);
	struct sidecar s;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t f = 0; f < sizeof fills / sizeof *fills; f++) {
			size_t head = strlen(heads[i]), fill = strlen(fills[f]), len = LEN / 8;

			memcpy(text, heads[i], head);
			for (size_t at = head; at < len; at++)
				text[at] = (uint8_t)fills[f][(at - head) % fill];
			parse_any(names[i], text, len);
		}
	memset(text, 0, LEN);
	parse_any("a.log", text, LEN);
	free(text);
	parse_any("DataInfo.xml", (const uint8_t *)entities, strlen(entities));
	CHECK(sidecar_parse("DataInfo.xml", (const uint8_t *)entities, strlen(entities), &s) == -EBADMSG);
	CHECK(strstr(err_text(), "Rigaku DataInfo.xml: line 1: XML too deep, or with entities") != NULL);
	CHECK(!sidecar_wanted("a.log", 0) && !sidecar_wanted("a.log", SIDECAR_BYTES_MAX + 1));
	CHECK(!sidecar_wanted("slice.tif", 100) && sidecar_wanted("A.PCA", 100) && !sidecar_wanted("", 10));
}

static void test_names(void)
{
	static const struct {
		const char *name;
		uint64_t size;
		enum voxel_type type; /* VOXEL_NONE: nothing that fits */
		uint64_t width, height, depth;
		bool big_endian;
		double um;
	} cases[] = {
		{ "bone_1000x900x500_16bit.raw", 900000000, VOXEL_U16, 1000, 900, 500, false, 0 },
		{ "bone_1000x900x500_16-bit.raw", 900000000, VOXEL_U16, 1000, 900, 500, false, 0 },
		{ "bone_1000x900x500.raw", 900000000, VOXEL_U16, 1000, 900, 500, false, 0 },
		{ "bone_1000x900x500.raw", 450000000, VOXEL_U8, 1000, 900, 500, false, 0 },
		{ "bone_1000x900x500.raw", 1800000000, VOXEL_F32, 1000, 900, 500, false, 0 },
		{ "bone_1000x900x500_16bit.raw", 900000001, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "bone_1000x900x500_8bit.raw", 900000000, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "scan-64X32X16-uint16-be.vol", 65536, VOXEL_U16, 64, 32, 16, true, 0 },
		{ "scan 64x32x16 float32.raw", 131072, VOXEL_F32, 64, 32, 16, false, 0 },
		{ "float_64x32x16.raw", 131072, VOXEL_F32, 64, 32, 16, false, 0 },
		{ "64x32x16_32bit_signed.raw", 131072, VOXEL_I32, 64, 32, 16, false, 0 },
		{ "64x32x16_16bit_signed_bigendian.raw", 65536, VOXEL_I16, 64, 32, 16, true, 0 },
		{ "64x32x16_uint16be.raw", 65536, VOXEL_U16, 64, 32, 16, true, 0 },
		{ "64x32x16_int32_le.raw", 131072, VOXEL_I32, 64, 32, 16, false, 0 },
		{ "bin2x2x2_64x32x16_5.2um_u8.raw", 32768, VOXEL_U8, 64, 32, 16, false, 5.2 },
		{ "64\303\22732\303\22716.raw", 32768, VOXEL_U8, 64, 32, 16, false, 0 },
		{ "/some/where/64x32x16.raw", 32768, VOXEL_U8, 64, 32, 16, false, 0 },
		{ "64x32.raw", 2048, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "0x0x0.raw", 0, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "999999999x999999999x999999999.raw", 1, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "99999999999999999999x1x1.raw", 1, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "", 1, VOXEL_NONE, 0, 0, 0, false, 0 },
		{ "x", 1, VOXEL_NONE, 0, 0, 0, false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct geometry geo = { 0 };
		int rc = sidecar_from_name(cases[i].name, cases[i].size, &geo);
		bool right = rc == (cases[i].type == VOXEL_NONE ? -ENOENT : 0) && geo.type == cases[i].type &&
			     geo.width == cases[i].width && geo.height == cases[i].height &&
			     geo.depth == cases[i].depth && geo.big_endian == cases[i].big_endian &&
			     geo.voxel_um[0] == cases[i].um;

		if (!right)
			fprintf(stderr, "%s: %d %s %llu x %llu x %llu\n", cases[i].name, rc, voxel_name(geo.type),
				(unsigned long long)geo.width, (unsigned long long)geo.height,
				(unsigned long long)geo.depth);
		CHECK(right);
		CHECK(rc != 0 || geo.format == IMAGE_RAW);
	}
}

static void test_times(void)
{
	static const char *const cases[][2] = {
		{ "2023-10-18 11:22:08", "2023-10-18T11:22:08Z" },
		{ "2023-07-20T09:35:15.864", "2023-07-20T09:35:15Z" },
		{ "2023-07-20T09:35:15+02:00", "2023-07-20T09:35:15+02:00" },
		{ "2019:03:02 10:11:12", "2019-03-02T10:11:12Z" },
		{ "Jul 20, 2023  11:26:30", "2023-07-20T11:26:30Z" },
		{ "14 Mar 2023  09h:00m:40s", "2023-03-14T09:00:40Z" },
		{ "23-Nov-2018", "2018-11-23" },
		{ "12/31/2024 12:00:00 AM", "2024-12-31T00:00:00Z" },
		{ "31/12/2024 1:05:00 PM", "2024-12-31T13:05:00Z" },
		{ "2024-02-29", "2024-02-29" },
		{ "2023-02-29", NULL },
		{ "2023-13-01", NULL },
		{ "yesterday", NULL },
		{ "", NULL },
		{ "9999999999-1-1", NULL },
		{ "2023-01-01 25:00", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[TEXT_TIME_MAX] = "";
		bool known = text_time(cases[i][0], out);

		if (known != (cases[i][1] != NULL) || (known && strcmp(out, cases[i][1]) != 0))
			fprintf(stderr, "%s: %s\n", cases[i][0], out);
		CHECK(known == (cases[i][1] != NULL) && (!known || !strcmp(out, cases[i][1])));
	}
}

/* --- real ones --- */

static const struct {
	const char *path;
	const char *facts[14];
	bool acquisition;
	uint64_t images, width;
} real[] = {
	{ "meta-cli/ge/FEG230530_409-run-files/FEG230530_409.pca",
	  { "voltage_kV", "90", "current_uA", "110", "exposure_ms", "500.102", "voxel_size_um",
	    "10.29065,10.29065,10.29065", "source_detector_mm", "807.1353464" },
	  true,
	  1300,
	  0 },
	{ "meta-cli/ge/FEG230530_409-run-files/FEG230530_409.pcr", { NULL }, false, 0, 456 },
	{ "meta-cli/ge/FEG230530_409-run-files/FEG230530_409.dtxml",
	  { "operator", "Goetz, Freya", "sample", "usnm1615674", "title", "Euphausia hemigibba" },
	  false,
	  0,
	  0 },
	{ "meta-cli/nikon/Lego_alignment test_1 [2023-10-18 11.22.08]/Lego_alignment test_1.xtekct",
	  { "sample", "Lego_alignment test_1", "voltage_kV", "90", "voxel_size_um", "20,20,20", "filter",
	    "1 mm Aluminium" },
	  true,
	  1570,
	  0 },
	{ "meta-cli/nikon/Lego_alignment test_1 [2023-10-18 11.22.08]/_ctdata.txt",
	  { "exposure_ms", "708" },
	  false,
	  0,
	  0 },
	{ "meta-cli/bruker/skyscan_1173/MML0514A_gg_lumbar1_al_26.8um_2k_.log",
	  { "voltage_kV", "120", "current_uA", "60", "start_time", "2023-07-20T11:26:30Z", "voxel_size_um",
	    "26.844857,26.844857,26.844857" },
	  true,
	  1200,
	  0 },
	{ "meta-cli/bruker/skyscan_1272/DRP_P21_3/DRP_P21_3_Rec/DRP_P21_3_rec.log",
	  { "exposure_ms", "1175", "start_time", "2023-03-14T09:00:40Z" },
	  false,
	  1428,
	  0 },
	{ "vgi-pyhst-forum/LB_BH1_01.vgi", { "voxel_size_um", "127.1,127.1,127.1" }, false, 0, 1374 },
	{ "vgi-pyhst-forum/pyhst.vol.info", { NULL }, false, 0, 2800 },
	{ "meta-cli/tescan/Acquisition settings XRE.txt",
	  { "sample", "sweets", "operator", "Jay", "start_time", "2020-11-06T09:34:16Z", "voxel_size_um", "75,75,75" },
	  true,
	  1440,
	  0 },
	{ "meta-cli/tescan/recon/data settings xre recon.txt", { "sample", "sweets" }, false, 0, 0 },
	{ "meta-cli/rigaku/CT_20230720_093515/DataInfo.xml",
	  { "sample", "PB-AWC", "voltage_kV", "50", "current_uA", "280", "voxel_size_um", "14.9,14.9,14.9" },
	  true,
	  0,
	  0 },
	{ "meta-cli/nsi/Plastic Part 6-5-2024.nsipro",
	  { "voltage_kV", "150", "current_uA", "300", "start_time", "2024-06-05T11:25:18Z", "filter", "0.040\" Cu",
	    "source_object_mm", "382.136" },
	  true,
	  1200,
	  0 },
};

static void test_real(const char *data)
{
	for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
		struct sidecar s scope_sidecar = { 0 };
		scope_free void *bytes = NULL;
		size_t len = 0;
		char path[4096];

		snprintf(path, sizeof path, "%s/sidecars/%s", data, real[i].path);
		if (io_read_file(&io_system, path, SIDECAR_BYTES_MAX, &bytes, &len) < 0)
			continue;
		CHECK_RC(sidecar_parse(path, bytes, len, &s));
		check_facts(real[i].path, &s, real[i].facts);
		CHECK(s.acquisition == real[i].acquisition && s.images_declared == real[i].images);
		CHECK(s.data_count == (real[i].width != 0) && (!s.data_count || s.data[0].geo.width == real[i].width));
		test_damaged(real[i].path, bytes, len, 20);
	}
}

static unsigned seen;

/* Every real file, under its own name and under the names of other kinds. */
static void visit_tree(const char *path, unsigned depth)
{
	static const char *const names[] = { "x.log", "x.txt", "x.json", "x.nhdr", "x.nsipro", "x.xml" };
	DIR *list = opendir(path);
	struct dirent *entry;

	while (list && depth < 8 && (entry = readdir(list))) {
		scope_free void *bytes = NULL;
		char child[4096];
		struct stat st;
		size_t len = 0;

		if (*entry->d_name == '.')
			continue;
		snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
		if (lstat(child, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			visit_tree(child, depth + 1);
		else if (io_read_file(&io_system, child, 200000, &bytes, &len) == 0) {
			parse_any(child, bytes, len);
			for (size_t i = 0; i < sizeof names / sizeof *names; i++)
				parse_any(names[i], bytes, len);
			seen++;
		}
	}
	if (list)
		closedir(list);
}

int main(void)
{
	const char *data = getenv("TOMOFS_DATA");

	for (size_t i = 0; i < SAMPLES; i++) {
		test_sample(&samples[i]);
		if (!samples[i].offset && !strchr(samples[i].text, '\xb5')) /* data behind a header is no text */
			test_utf16(&samples[i]);
		test_damaged(samples[i].name, (const uint8_t *)samples[i].text, strlen(samples[i].text), 150);
	}
	test_hostile();
	test_names();
	test_times();
	if (data) {
		char path[4096];

		test_real(data);
		snprintf(path, sizeof path, "%s/sidecars", data);
		visit_tree(path, 0);
		CHECK(seen > 0);
	} else {
		puts("skipped: no ../shared/data");
	}
	return check_done();
}
