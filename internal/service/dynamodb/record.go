package dynamodb

import (
	api "github.com/bastide-cloud/bastide/internal/api/dynamodb"
)

// What the audit records of data operations hold: which table, which keys, under which condition;
// never the items or the values of placeholders, which may be anybody's secrets.

func recordPut(in *api.PutItemInput) any {
	return &api.PutItemInput{TableName: in.TableName, ConditionExpression: in.ConditionExpression, ReturnValues: in.ReturnValues}
}

func recordUpdate(in *api.UpdateItemInput) any {
	return &api.UpdateItemInput{TableName: in.TableName, Key: in.Key, UpdateExpression: in.UpdateExpression,
		ConditionExpression: in.ConditionExpression, ExpressionAttributeNames: in.ExpressionAttributeNames, ReturnValues: in.ReturnValues}
}

func recordDelete(in *api.DeleteItemInput) any {
	return &api.DeleteItemInput{TableName: in.TableName, Key: in.Key, ConditionExpression: in.ConditionExpression,
		ExpressionAttributeNames: in.ExpressionAttributeNames, ReturnValues: in.ReturnValues}
}

func recordQuery(in *api.QueryInput) any {
	out := *in
	out.ExpressionAttributeValues, out.KeyConditions, out.QueryFilter = nil, nil, nil
	return &out
}

func recordScan(in *api.ScanInput) any {
	out := *in
	out.ExpressionAttributeValues, out.ScanFilter = nil, nil
	return &out
}

func recordBatchWrite(in *api.BatchWriteItemInput) any {
	out := &api.BatchWriteItemInput{RequestItems: make(map[string][]api.WriteRequest, len(in.RequestItems))}
	for name, reqs := range in.RequestItems {
		kept := make([]api.WriteRequest, len(reqs))
		for i, r := range reqs {
			kept[i].DeleteRequest = r.DeleteRequest
			if r.PutRequest != nil {
				kept[i].PutRequest = &api.PutRequest{}
			}
		}
		out.RequestItems[name] = kept
	}
	return out
}

func recordTransactWrite(in *api.TransactWriteItemsInput) any {
	out := &api.TransactWriteItemsInput{ClientRequestToken: in.ClientRequestToken}
	for _, x := range in.TransactItems {
		var kept api.TransactWriteItem
		if c := x.ConditionCheck; c != nil {
			kept.ConditionCheck = &api.ConditionCheck{TableName: c.TableName, Key: c.Key, ConditionExpression: c.ConditionExpression}
		}
		if p := x.Put; p != nil {
			kept.Put = &api.Put{TableName: p.TableName, ConditionExpression: p.ConditionExpression}
		}
		if d := x.Delete; d != nil {
			kept.Delete = &api.Delete{TableName: d.TableName, Key: d.Key, ConditionExpression: d.ConditionExpression}
		}
		if u := x.Update; u != nil {
			kept.Update = &api.Update{TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression, ConditionExpression: u.ConditionExpression}
		}
		out.TransactItems = append(out.TransactItems, kept)
	}
	return out
}
