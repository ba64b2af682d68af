package pack

import (
	"strings"
	"testing"

	"github.com/bastide-cloud/bastide/internal/template"
)

const synthesised = `{
 "Resources": {
  "F": {
   "Type": "AWS::Lambda::Function",
   "Properties": {
    "Code": {
     "S3Bucket": {
      "Fn::Sub": "cdk-xyz-assets-${AWS::AccountId}-${AWS::Region}"
     },
     "S3Key": "0123.zip"
    },
    "Handler": "index.handler",
    "Runtime": "nodejs20.x"
   },
   "Metadata": {
    "aws:asset:path": "asset.0123",
    "aws:asset:property": "Code"
   }
  }
 },
 "Parameters": {
  "BootstrapVersion": {
   "Type": "AWS::SSM::Parameter::Value<String>",
   "Default": "/cdk-bootstrap/xyz/version"
  },
  "Other": {
   "Type": "AWS::SSM::Parameter::Value<String>",
   "Default": "/mine"
  }
 },
 "Rules": {
  "CheckBootstrapVersion": {
   "Assertions": [
    {"Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "BootstrapVersion"}]}]}}
   ]
  }
 }
}
`

func TestSynthesisedAssetsAreUploadedFromTheirFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "App.template.json", synthesised)
	write(t, dir, "asset.0123/index.js", "exports.handler = () => 1\n")
	p, err := Make(Options{Path: dir + "/App.template.json", Bucket: "bkt"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(p.Template, "\n") != strings.Count(synthesised, "\n") || len(p.Artifacts) != 1 || p.Artifacts[0].LogicalID != "F" {
		t.Fatalf("%+v %s", p.Artifacts, p.Template)
	}
	made, err := template.Parse([]byte(p.Template))
	if err != nil {
		t.Fatal(err)
	}
	code := made.Root().Dig("Resources", "F", "Properties", "Code")
	if !code.Dig("S3Bucket", "Fn::Sub").IsString("bkt") || !code.Get("S3Key").IsString(p.Artifacts[0].Key) {
		t.Errorf("the code is in %s", code.JSON(""))
	}
	// The version of a bootstrap stack that nothing needs is not asked for; other parameters are.
	if !made.Root().Dig("Parameters", "BootstrapVersion", "Type").IsString("String") || made.Root().Dig("Parameters", "Other", "Type").IsString("String") {
		t.Errorf("the parameters are %s", made.Root().Get("Parameters").JSON(""))
	}
}

func TestAnAssetThatIsNotThereIsNamed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "App.template.json", synthesised)
	if _, err := Make(Options{Path: dir + "/App.template.json", Bucket: "bkt"}); err == nil || !strings.Contains(err.Error(), "asset.0123 does not exist") {
		t.Errorf("%v", err)
	}
}
