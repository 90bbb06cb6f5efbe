//! The services of the listener: certificates, health, reflection.

use std::sync::Arc;

use signet_api::call::Peer;
use signet_api::mesh::{CertificateCall, Mesh, MeshError, Status as Outcome};
use signet_proto::istio::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use signet_proto::istio::{IstioCertificateRequest, IstioCertificateResponse};
use signet_proto::{FILE_DESCRIPTORS, Kind, Message as _, Struct};
use tonic::metadata::MetadataMap;
use tonic::service::{Routes, RoutesBuilder};
use tonic::{Request, Response, Status, async_trait};
use tonic_health::server::HealthReporter;
use zeroize::Zeroizing;

use super::gate::Gate;

/// All services behind one router.
pub(super) fn routes(mesh: &Arc<Mesh>, requests: &Arc<Gate>) -> (Health, Routes) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let certificates = Certificates {
        mesh: mesh.clone(),
        requests: requests.clone(),
    };
    let certificates = IstioCertificateServiceServer::new(certificates)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut routes = RoutesBuilder::default();
    routes.add_service(certificates).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptions come from the build: they can be read, or no test passes.
    if let Ok(reflection) = reflection().build_v1() {
        routes.add_service(reflection);
    }
    // What older tools speak.
    if let Ok(reflection) = reflection().build_v1alpha() {
        routes.add_service(reflection);
    }
    (Health(reporter), routes.routes())
}

/// Whether certificates can be had: the health of the service by its name. The one without a name
/// says that the server runs.
#[derive(Debug)]
pub(super) struct Health(HealthReporter);

impl Health {
    pub(super) async fn set(&self, is_serving: bool) {
        type Service = IstioCertificateServiceServer<Certificates>;
        if is_serving {
            self.0.set_serving::<Service>().await;
        } else {
            self.0.set_not_serving::<Service>().await;
        }
    }
}

#[derive(Debug)]
struct Certificates {
    mesh: Arc<Mesh>,
    requests: Arc<Gate>,
}

#[async_trait]
impl IstioCertificateService for Certificates {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let Some(_place) = self.requests.enter() else {
            self.mesh.node().metrics.mesh.request_refused();
            return Err(status(&MeshError::Overloaded("too many at once".into())));
        };
        let call = read(request)?;
        let created = self.mesh.create_certificate(call).await;
        let cert_chain = created.map_err(|error| status(&error))?;
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

fn read(request: Request<IstioCertificateRequest>) -> Result<CertificateCall, Status> {
    let (headers, extensions, message) = request.into_parts();
    let peer = extensions
        .get::<Peer>()
        .cloned()
        .ok_or_else(|| Status::internal("connection without a peer"))?;
    if headers.len() > MAX_HEADERS {
        return Err(Status::invalid_argument("too many headers"));
    }
    if message.csr.len() > MAX_CSR_BYTES {
        return Err(Status::invalid_argument("the CSR is too large"));
    }
    let metadata = message.metadata.unwrap_or_default();
    if metadata.encoded_len() > MAX_METADATA_BYTES {
        return Err(Status::invalid_argument("the metadata are too large"));
    }
    Ok(CertificateCall {
        peer,
        bearer: bearer(&headers),
        cluster_id: cluster_id(&headers),
        csr: message.csr,
        validity_secs: message.validity_duration,
        impersonated: impersonated(&metadata),
    })
}

/// Of the first value that is one. Some clients send the white space around the token in its file.
fn bearer(headers: &MetadataMap) -> Option<Zeroizing<String>> {
    let values = headers.get_all("authorization");
    let mut tokens = values
        .iter()
        .filter_map(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = tokens.next()?.trim_ascii();
    (!token.is_empty()).then(|| Zeroizing::new(token.to_owned()))
}

/// More than one is none.
fn cluster_id(headers: &MetadataMap) -> String {
    let mut values = headers.get_all("clusterid").iter();
    match (values.next(), values.next()) {
        (Some(id), None) => id.to_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// What is there and no text is an identity that nobody has.
fn impersonated(metadata: &Struct) -> Option<String> {
    let value = metadata.fields.get("ImpersonatedIdentity")?;
    match &value.kind {
        Some(Kind::StringValue(text)) if text.is_empty() => None,
        Some(Kind::StringValue(text)) => Some(text.clone()),
        Some(Kind::NullValue(_)) | None => None,
        Some(_) => Some(String::new()),
    }
}

fn status(error: &MeshError) -> Status {
    let text = error.client_text();
    match error.status() {
        Outcome::Internal => Status::internal(text),
        Outcome::InvalidArgument => Status::invalid_argument(text),
        Outcome::PermissionDenied => Status::permission_denied(text),
        Outcome::ResourceExhausted => Status::resource_exhausted(text),
        Outcome::Unauthenticated => Status::unauthenticated(text),
        Outcome::Unavailable => Status::unavailable(text),
    }
}

/// Longer messages are not read.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// Ample for an RSA key of 8192 bits.
const MAX_CSR_BYTES: usize = 36 * 1024;
const MAX_METADATA_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bearer_token_counts_and_white_space_does_not() {
        let mut headers = MetadataMap::new();
        assert!(bearer(&headers).is_none());
        headers.append("authorization", "Basic x".parse().unwrap());
        headers.append("authorization", "bearer y".parse().unwrap());
        assert!(bearer(&headers).is_none());
        headers.append("authorization", "Bearer  token ".parse().unwrap());
        headers.append("authorization", "Bearer other".parse().unwrap());
        assert_eq!(bearer(&headers).unwrap().as_str(), "token");
    }

    #[test]
    fn two_cluster_ids_are_none() {
        let mut headers = MetadataMap::new();
        assert_eq!(cluster_id(&headers), "");
        headers.append("clusterid", "a".parse().unwrap());
        assert_eq!(cluster_id(&headers), "a");
        headers.append("clusterid", "b".parse().unwrap());
        assert_eq!(cluster_id(&headers), "");
    }
}
