package lambda

import (
	"context"

	"github.com/bastide-cloud/bastide/internal/api/lambda"
	"github.com/bastide-cloud/bastide/internal/base/awserr"
	"github.com/bastide-cloud/bastide/internal/gate"
)

func readURL(props map[string]any) (*lambda.CreateFunctionUrlConfigInput, error) {
	r := &reader{}
	in := &lambda.CreateFunctionUrlConfigInput{FunctionName: r.must(props, "TargetFunctionArn"), Qualifier: r.text(props, "Qualifier"),
		AuthType: r.must(props, "AuthType"), InvokeMode: r.text(props, "InvokeMode")}
	if c := r.group(props, "Cors"); c != nil {
		in.Cors = &lambda.Cors{AllowCredentials: r.truth(c, "AllowCredentials"), AllowHeaders: r.texts(c, "AllowHeaders"), AllowMethods: r.texts(c, "AllowMethods"),
			AllowOrigins: r.texts(c, "AllowOrigins"), ExposeHeaders: r.texts(c, "ExposeHeaders"), MaxAge: r.number(c, "MaxAge")}
	}
	return in, r.err
}

func createURLResource(ctx context.Context, m gate.Making, props map[string]any) (gate.Made, error) {
	in, err := readURL(props)
	if err != nil {
		return gate.Made{}, err
	}
	out, err := lambda.Client{Caller: m}.CreateFunctionUrlConfig(ctx, in)
	if awserr.Is(err, "ResourceConflictException") && m.Again {
		return updateURLResource(ctx, m, "", nil, props) // an earlier attempt may have made it
	}
	if err != nil {
		return gate.Made{}, err
	}
	return madeURL(out.FunctionArn, out.FunctionUrl), nil
}

// madeURL: a URL is known by the ARN of its function or alias, of which it is the only one.
func madeURL(functionARN, url string) gate.Made {
	return gate.Made{ID: functionARN, Attributes: map[string]any{"FunctionArn": functionARN, "FunctionUrl": url}}
}

func updateURLResource(ctx context.Context, m gate.Making, _ string, _, after map[string]any) (gate.Made, error) {
	in, err := readURL(after)
	if err != nil {
		return gate.Made{}, err
	}
	if in.Cors == nil {
		in.Cors = &lambda.Cors{} // taken out of the template
	}
	if in.InvokeMode == nil {
		in.InvokeMode = new(buffered) // as above
	}
	out, err := lambda.Client{Caller: m}.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: in.FunctionName, Qualifier: in.Qualifier,
		AuthType: &in.AuthType, Cors: in.Cors, InvokeMode: in.InvokeMode})
	if err != nil {
		return gate.Made{}, err
	}
	return madeURL(out.FunctionArn, out.FunctionUrl), nil
}

func deleteURLResource(ctx context.Context, m gate.Making, id string, _ map[string]any) error {
	_, err := lambda.Client{Caller: m}.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: id})
	return gone(err)
}
